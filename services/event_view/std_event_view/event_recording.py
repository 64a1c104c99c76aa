"""EventRecording: a file with all results."""

from collections.abc import Sequence
from pathlib import Path

from std_daq.errors import ArgumentError
from std_daq.view3d.drawing import Drawing


class EventRecording:
    """A recording that grows while the view runs; it can be opened at any time.

    Parameters
    ----------
    path
        A new file.
    application
        What viewers file it under.
    first
        What comes before all events.

    Raises
    ------
    ArgumentError
        The file exists, or cannot be made.
    """

    def __init__(self, path: Path, application: str, first: Sequence[Drawing]) -> None:
        import rerun

        try:
            self._file = path.open("xb")
        except FileExistsError:
            raise ArgumentError("--output", "the file exists", value=path, remedy="give a new name") from None
        except OSError as error:
            raise ArgumentError("--output", f"cannot be made: {error.strerror}", value=path) from None
        self._recording = rerun.RecordingStream(application)
        self._recording.save(Path(f"/proc/self/fd/{self._file.fileno()}"))  # this file, whatever its name leads to
        for drawing in first:
            drawing.draw(self._recording)

    def add(self, drawing: Drawing) -> None:
        """Record a drawing."""
        drawing.draw(self._recording)

    def close(self) -> None:
        """Complete the file."""
        self._recording.flush()
        self._recording.disconnect()
        self._file.close()
