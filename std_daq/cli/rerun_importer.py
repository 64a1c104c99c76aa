"""The commands ``rerun-importer-merged-file`` and ``rerun-loader-merged-file``, which Rerun starts for each file.

The recording goes to standard output, and nothing else does. Exit code 66 says that the file is none of ours. The
environment variable STD_DAQ_TPC_CONFIG names the tpc.json with the parameters of the analysis and the pads; without it,
they are the defaults, and the pads are those of the AT-TPC.

Of Rerun's options, `--application-id`, `--recording-id` and `--entity-path-prefix` are carried out. Events have times
of their own, so times given as options are ignored. Whoever asks for `--static` is told that it is ignored.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from std_daq.errors import EXIT_DONE, EXIT_FAILED, FileFormatError, StdDaqError, exit_code_of
from std_daq.tpc.view.importer_arguments import ImporterArguments

if TYPE_CHECKING:
    from std_daq.tpc.merged.reader import MergedFile
    from std_daq.tpc.pads.plane import PadPlane
    from std_daq.tpc.reconstruction.parameters import AnalysisParameters

EXIT_NOT_OURS: Final = 66
"""What Rerun takes for: ask another importer."""

CONFIG_VARIABLE: Final = "STD_DAQ_TPC_CONFIG"
_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_PLACES = (0, 512, 1024, 2048, 4096)
_BEAM_RADIUS_MM = 20.0
_MIN_EVENTS_FOR_WORKERS = 50  # workers take seconds to start
_MAX_WORKERS = 16


def main(argv: Sequence[str] | None = None) -> int:
    """Import a file, and return the exit code."""
    arguments = ImporterArguments.of(sys.argv[1:] if argv is None else argv)
    if arguments.file is None or not _is_hdf5(arguments.file):
        return EXIT_NOT_OURS
    sys.stdout = sys.stderr  # what a library prints would damage the recording
    try:
        return _import(arguments, arguments.file)
    except StdDaqError as error:
        print(f"rerun-importer-merged-file: {error}", file=sys.stderr)
        return exit_code_of(error)
    except BrokenPipeError:  # the viewer closed the recording
        return EXIT_FAILED


def _import(arguments: ImporterArguments, path: Path) -> int:
    from std_daq.extras import extras_explained
    from std_daq.tpc.merged.reader import MergedFile

    try:
        file = MergedFile(path)
    except (FileFormatError, OSError):
        return EXIT_NOT_OURS
    with file, extras_explained():
        plane, parameters = _analysis()
        _draw(arguments, file, plane, parameters)
    return EXIT_DONE


def _draw(
    arguments: ImporterArguments, file: "MergedFile", plane: "PadPlane", parameters: "AnalysisParameters"
) -> None:
    import rerun

    from std_daq.tpc.view.layout import APPLICATION
    from std_daq.tpc.view.merged_import import drawings_of
    from std_daq.tpc.view.prefixed_recording import PrefixedRecording

    recording = rerun.RecordingStream(arguments.application_id or APPLICATION, recording_id=arguments.recording_id)
    recording.stdout()
    n_workers = min(len(os.sched_getaffinity(0)), _MAX_WORKERS) if len(file) >= _MIN_EVENTS_FOR_WORKERS else 1
    prefix = arguments.entity_path_prefix
    # Drawings use of a recording what this one has.
    target = recording if prefix is None else cast("rerun.RecordingStream", PrefixedRecording(recording, prefix))
    if arguments.is_static:
        print(
            "rerun-importer-merged-file: --static is ignored: without times, each event would replace the one before",
            file=sys.stderr,
        )
    for drawing in drawings_of(file, plane, parameters, n_workers):
        drawing.draw(target)
    recording.flush()
    recording.disconnect()


def _analysis() -> "tuple[PadPlane, AnalysisParameters]":
    """Return pads and parameters of the configuration, or the defaults."""
    from std_daq.tpc.config import load_tpc_config
    from std_daq.tpc.pads.config import PadsConfig
    from std_daq.tpc.pads.load import load_pads
    from std_daq.tpc.reconstruction.parameters import AnalysisParameters

    named = os.environ.get(CONFIG_VARIABLE)
    if named:
        config = load_tpc_config(named)
        return load_pads(config.pads), config.analysis
    pads = PadsConfig(geometry="attpc", scale="attpc", beam_radius_mm=_BEAM_RADIUS_MM)
    return load_pads(pads), AnalysisParameters()


def _is_hdf5(path: Path) -> bool:
    """Look for the signature of HDF5, which may stand behind a block of the user's own."""
    try:
        with path.open("rb") as file:
            for place in _PLACES:
                file.seek(place)
                if file.read(len(_HDF5_SIGNATURE)) == _HDF5_SIGNATURE:
                    return True
    except OSError:
        return False
    return False


if __name__ == "__main__":
    sys.exit(main())
