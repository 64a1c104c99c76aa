"""EventFiles: the merged file of one run of a chamber."""

from array import array
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from std_daq.errors import FileFormatError
from std_daq.recording.measured_values import NO_LOGS, ValueLogs
from std_daq.recording.requests import RunReport
from std_daq.telemetry.logs import ConditionLog
from std_daq.tpc.events.event import Event
from std_daq.tpc.events.event_buffer import EventBuffer
from std_daq.tpc.merged.description import MergedFileDescription
from std_daq.tpc.merged.detectors import DetectorParts
from std_daq.tpc.merged.event_log import LoggedEvent
from std_daq.tpc.merged.faults import EventFaultCounter
from std_daq.tpc.merged.writer import MergedFileWriter
from std_h5_writer.file_owner import FileOwner
from std_h5_writer.ring_reader import RunImage

RunEvent = RunImage[Event, EventBuffer]


class EventFiles:
    """The file of a run, which is opened when the first event comes; the same interface as `RunFiles`.

    Parameters
    ----------
    path
        Path of the file.
    description
        What the file says besides its events.
    parts
        Divides the traces of an event among the datasets of the layout.
    owner
        User who is to own the file.

    Attributes
    ----------
    n_written, n_bytes, n_direct
        Events written, the bytes of their traces, and the events written past the page cache: none.
    faults
        Counts the events that are not complete.
    """

    n_direct = 0

    def __init__(self, path: Path, description: MergedFileDescription, parts: DetectorParts, owner: FileOwner) -> None:
        self.n_written = self.n_bytes = 0
        self.faults = EventFaultCounter()
        self._path = path
        self._description = description
        self._parts = parts
        self._owner = owner
        self._writer: MergedFileWriter | None = None
        self._ids = array("Q")
        self._is_closed = False
        self._has_vanished = False
        self._conditions = ConditionLog()

    @property
    def paths(self) -> list[Path]:
        """Path of the file, if it was opened."""
        return [] if self._writer is None else [self._path]

    @property
    def n_vanished(self) -> int:
        """Events that were written, and whose file somebody has removed during the run."""
        return len(self._ids) if self._has_vanished else 0

    @property
    def n_flushed(self) -> int:
        """Events that can be recovered if this process crashes."""
        return 0 if self._writer is None or self._has_vanished else self._writer.n_safe

    @property
    def unflushed_ids(self) -> list[int]:
        """Ids of the events that are lost if this process crashes."""
        return self._ids[self.n_flushed :].tolist()

    def append(self, run_image: RunEvent, chunk: NDArray[Any], *, past_page_cache: bool) -> None:  # noqa: ARG002
        """Append an event; raises FileFormatError or OSError."""
        if self._is_closed:
            raise FileFormatError(f"{self._path}: the file is closed")
        if self._writer is None:
            self._writer = self._open()
        event = run_image.image
        logged = LoggedEvent(
            id=event.id,
            epoch=event.epoch,
            timestamp=event.timestamp,
            timestamp_other=event.timestamp_other,
            is_complete=event.is_complete,
            places=(),
            missing_boards=event.missing_boards.tobytes(),
        )
        self._writer.append(logged, self._parts.divide(chunk))
        self._ids.append(event.id)
        self.n_written += 1
        self.n_bytes = self._writer.n_bytes
        self._count_fault(event)

    def drop_last(self, run_image: RunEvent) -> None:
        """Remove the event that was appended last, because it was overwritten in the ring meanwhile."""
        if self._writer is None:
            raise FileFormatError(f"{self._path}: no file is open")
        self._writer.drop_last()
        self._ids.pop()
        self.n_written -= 1
        self.n_bytes = self._writer.n_bytes
        self._count_fault(run_image.image, -1)

    def flush(self) -> None:
        """Make all appended events safe from a crash of this process; raises OSError."""
        if self._writer is not None and not self._is_closed:
            self._writer.flush()

    def salvage(self) -> None:
        """Save the events that were appended before a write failed, as far as possible."""
        with suppress(OSError):
            self.flush()

    def find_vanished(self) -> list[int]:
        """Return the ids of the events if somebody has removed the file since they were written."""
        if self._writer is None or self._is_closed or self._has_vanished or not self._writer.is_removed:
            return []
        self._has_vanished = True
        return self._ids.tolist()

    def explain_vanished(self) -> str:
        """Return what to tell about a file that was removed."""
        return f"{self._path}: the file was removed or moved during the run"

    def finish(self, report: RunReport, after_each: Callable[[], None], logs: ValueLogs = NO_LOGS) -> None:  # noqa: ARG002
        """Write the verdict, close the file, and wait until it is on the disk; raises what went wrong."""
        writer = self._writer
        if writer is None or self._is_closed:
            return
        self._is_closed = True
        with self._owner.identity():
            if self._has_vanished:
                writer.abandon(is_log_needed=False)
            else:
                writer.finish(report, after_each)
        after_each()

    def _open(self) -> MergedFileWriter:
        with self._owner.in_folder(self._path.parent) as folder:
            writer = MergedFileWriter.create(self._path, self._description, access=self._owner.access, folder=folder)
        if not writer.has_lock:
            self._conditions.warning(
                "folder_has_no_locks", folder=str(self._path.parent), remedy="readers need HDF5_USE_FILE_LOCKING=FALSE"
            )
        return writer

    def _count_fault(self, event: Event, n: int = 1) -> None:
        if not event.is_complete:
            self.faults.add(event.missing_boards, n)
