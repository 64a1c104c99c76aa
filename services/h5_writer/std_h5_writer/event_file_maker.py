"""EventFileMaker: makes the merged files and the GRAW files of runs of a chamber."""

import platform
from importlib.metadata import version
from pathlib import Path

import h5py

from std_daq.errors import FileFormatError
from std_daq.recording.measured_values import ValueLogs
from std_daq.recording.requests import RunReport
from std_daq.recording.store_stream import StartRun
from std_daq.tpc.config import TpcConfig
from std_daq.tpc.merged.description import MergedFileDescription
from std_daq.tpc.merged.detectors import DetectorParts
from std_daq.tpc.merged.layout import Layout
from std_daq.tpc.pads.plane import PadPlane
from std_h5_writer.both_files import BothFiles
from std_h5_writer.event_files import EventFiles
from std_h5_writer.file_owner import FileOwner
from std_h5_writer.files_of_run import FilesOfRun
from std_h5_writer.graw_files import GrawFiles


class EventFileMaker:
    """Makes merged files and GRAW files.

    Parameters
    ----------
    config
        Configuration of the chamber.
    plane
        Its pad plane.
    owner
        User who is to own the files.
    """

    def __init__(self, config: TpcConfig, plane: PadPlane, owner: FileOwner) -> None:
        self._configuration_json = config.model_dump_json()
        self._plane = plane
        self._owner = owner
        self._versions = {
            "std-daq": version("std-daq"),
            "python": platform.python_version(),
            "h5py": h5py.__version__,
            "hdf5": h5py.version.hdf5_version,
        }

    def files_of(self, start: StartRun) -> FilesOfRun:
        """Return the files of a run that begins."""
        match start.request.format:
            case "graw":
                return GrawFiles(start, self._owner)
            case "hdf5+graw":
                return BothFiles(self._merged_file(start), GrawFiles(start, self._owner))
            case _:
                return self._merged_file(start)

    def write_master(self, path: Path, data_files: list[Path], report: RunReport, logs: ValueLogs) -> None:  # noqa: ARG002
        """Refuse: a merged file has all events of its run."""
        raise FileFormatError(f"{path}: a run of events has no master file")

    def _merged_file(self, start: StartRun) -> EventFiles:
        layout = Layout(start.request.layout or Layout.V1_0)
        description = MergedFileDescription(
            layout=layout,
            request_id=start.request_id,
            request_json=start.request.model_dump_json(),
            configuration_json=self._configuration_json,
            versions=self._versions,
        )
        return EventFiles(Path(start.output_file), description, DetectorParts(layout, self._plane), self._owner)
