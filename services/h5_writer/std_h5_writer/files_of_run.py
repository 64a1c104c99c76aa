"""FilesOfRun: what the writer needs of the files of a run, whatever their format."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from std_daq.recording.measured_values import NO_LOGS, ValueLogs
from std_daq.recording.requests import FaultCount, RunReport
from std_daq.recording.store_stream import StartRun
from std_h5_writer.ring_reader import RunImage


class Faults(Protocol):
    """Counts of the images that are not good."""

    n_images: int
    """Images, or events, that are not good."""

    @property
    def faults(self) -> dict[str, FaultCount]:
        """The counts by the name of the fault."""
        ...


class FilesOfRun(Protocol):
    """The files of a run, of images or of events; where this says images, a chamber has events."""

    n_written: int
    n_bytes: int

    @property
    def faults(self) -> Faults:
        """Counts of the images that are not good."""
        ...

    @property
    def paths(self) -> list[Path]:
        """Paths of the files."""

    @property
    def n_vanished(self) -> int:
        """Images that were written, and whose files somebody has removed or moved during the run."""

    @property
    def n_flushed(self) -> int:
        """Images that stay readable if this process crashes."""

    @property
    def n_direct(self) -> int:
        """Images that were written past the page cache."""

    @property
    def unflushed_ids(self) -> list[int]:
        """Ids of the images that are lost if this process crashes."""

    def append(self, run_image: RunImage[Any, Any], chunk: NDArray[Any], *, past_page_cache: bool) -> None:
        """Append an image."""

    def drop_last(self, run_image: RunImage[Any, Any]) -> None:
        """Remove the image that was appended last, because it was overwritten in the ring meanwhile."""

    def flush(self) -> None:
        """Make all appended images safe from a crash of this process; raises OSError."""

    def salvage(self) -> None:
        """Save the images that were appended before a write failed, as far as possible."""

    def find_vanished(self) -> list[int]:
        """Return the ids of images whose files somebody has removed since they were written."""

    def explain_vanished(self) -> str:
        """Return what to tell about files that were removed or moved."""

    def finish(self, report: RunReport, after_each: Callable[[], None], logs: ValueLogs = NO_LOGS) -> None:
        """Write the verdict, close the files, and wait until they are on the disk; raises the first failure."""


class FileMaker(Protocol):
    """Makes the files of runs, in the format that a request asks for."""

    def files_of(self, start: StartRun) -> FilesOfRun:
        """Return the files of a run that begins; they are opened when its first image comes."""
        ...

    def write_master(self, path: Path, data_files: list[Path], report: RunReport, logs: ValueLogs) -> None:
        """Write the master file over the data files of a run, with measured values; raises what HDF5 raises."""
