"""Recordings as files, which ``rerun FILE.rrd`` opens."""

from collections.abc import Iterable
from pathlib import Path

from std_daq.extras import extras_explained
from std_daq.folders.new_file import NewFile
from std_daq.view3d.drawing import Drawing


def write_recording(path: Path, application: str, drawings: Iterable[Drawing]) -> None:
    """Write a recording; a file that is there is replaced when the new one is complete.

    Raises
    ------
    MissingExtraError
        Rerun is not installed.
    """
    with extras_explained():
        import rerun
    recording = rerun.RecordingStream(application)
    with NewFile(path) as new:  # says why a file cannot be made; Rerun does not
        recording.save(new.opened)
        for drawing in drawings:
            drawing.draw(recording)
        recording.flush()
        recording.disconnect()
        new.replace()
