"""ImageFileMaker: makes the files of runs of images."""

from functools import partial
from pathlib import Path

from std_daq.imaging.files.master_file import write_master
from std_daq.recording.measured_values import ValueLogs
from std_daq.recording.requests import RunReport
from std_daq.recording.store_stream import StartRun
from std_h5_writer.file_owner import FileOwner
from std_h5_writer.files_of_run import FilesOfRun
from std_h5_writer.pff_files import PffFiles, PffForm
from std_h5_writer.run_description import RunDescriber
from std_h5_writer.run_files import RunFiles


class ImageFileMaker:
    """Makes HDF5 files and, for a telescope, PFF files.

    Parameters
    ----------
    describer
        Describes the content of files other than the images.
    owner
        User who is to own the files.
    pff
        How PFF files are written; None if this detector has none.
    """

    def __init__(self, describer: RunDescriber, owner: FileOwner, pff: PffForm | None = None) -> None:
        self._describer = describer
        self._owner = owner
        self._pff = pff

    def files_of(self, start: StartRun) -> FilesOfRun:
        """Return the files of a run that begins."""
        if start.request.format == "pff" and self._pff is not None:
            return PffFiles(start, self._pff, self._owner)
        describe = partial(self._describer.describe, start)
        return RunFiles(Path(start.output_file), start.images_per_file, describe, self._owner)

    def write_master(self, path: Path, data_files: list[Path], report: RunReport, logs: ValueLogs) -> None:
        """Write the master file over the data files of a run."""
        with self._owner.in_present_folder(path.parent) as folder:
            write_master(path, data_files, report, access=self._owner.access, folder=folder, logs=logs)
