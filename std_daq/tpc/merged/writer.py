"""MergedFileWriter: writes a merged file of layout 1.0 or 2.0, whose events survive a crash of the writer."""

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from std_daq.checksums import Begun, ChunkChecksums
from std_daq.errors import HDF5_ERRORS, FileFormatError
from std_daq.folders.new_file import NewFile, check_is_free
from std_daq.folders.open_folder import OpenFolder
from std_daq.hdf5 import close_regardless, explained_error
from std_daq.recording.disk_file import REMOVED, DiskFile, sync_file
from std_daq.recording.file_access import AS_MADE, FileAccess
from std_daq.recording.requests import RunReport
from std_daq.tpc.merged import layout
from std_daq.tpc.merged.beginning import END_BYTES, begin, creating, discard, open_on_disk
from std_daq.tpc.merged.checksums import checksum_of_texts
from std_daq.tpc.merged.description import MergedFileDescription
from std_daq.tpc.merged.event_log import EventLog, LoggedEvent, log_path
from std_daq.tpc.merged.layout import Layout

# What HDF5 needs for the groups, datasets and attributes of an event, with a margin.
_EVENT_BYTES = 16 * 1024
_MAX_ID = 2**32 - 1
_TRACE_TYPE = np.dtype("<i2")


class MergedFileWriter:
    """A merged file that is being written; made by `create`, used from one thread only.

    The traces of an event go into the file at once, and then into the event log, which is beside the file until that
    is closed (`std_daq.tpc.merged.event_log`). So every event of which `n_safe` counts survives if this process dies.

    Attributes
    ----------
    path
        Path of the file.
    n_events
        Events appended.
    n_safe
        Events that can be read if this process dies now: all but the last one, which may still be dropped, and after
        `flush` that one as well.
    n_bytes
        Bytes of the traces.
    """

    def __init__(
        self, path: Path, file: h5py.File, disk: DiskFile, log: EventLog | None, description: MergedFileDescription
    ) -> None:
        self.path = path
        self.n_events = self.n_safe = self.n_bytes = 0
        self._file = file
        self._events = file[layout.EVENTS]
        self._disk = disk
        self._fd = os.dup(file.id.get_vfd_handle())
        self._log = log
        self._description = description
        self._last: LoggedEvent | None = None
        self._last_bytes = 0
        self._times: list[int] = []  # of the first and of the last event
        self._incomplete: list[int] = []
        self._types = _dataset_types()
        self._checksums = ChunkChecksums()

    @classmethod
    def create(
        cls,
        path: Path,
        description: MergedFileDescription,
        *,
        access: FileAccess = AS_MADE,
        folder: OpenFolder | None = None,
    ) -> Self:
        """Create a file without events, which appears at once under its name.

        Parameters
        ----------
        path
            Path of the file, which must not exist; its folder must exist.
        description
            What the file says besides its events.
        access
            Who may use the file.
        folder
            The folder of the file, if the caller has opened it.

        Raises
        ------
        FileExistsError
            The file exists, or the log of another file of this name, whose writer was killed.
        OSError
            The file cannot be created; nothing of it is left behind.
        """
        check_is_free(path, folder)
        log = log_path(path)
        with creating(path), NewFile(path, folder) as new:
            if new.folder.has(log.name):
                what = f"this is the log of a file whose writer was killed: std-daq recover {path}, or remove the log"
                raise FileExistsError(errno.EEXIST, what, str(log))
            file = begin(new, description)
            made = None
            try:
                made = EventLog(log, new.folder, description.to_json())
                access.apply(made.fd)
                writer = cls(path, file, open_on_disk(new.opened), made, description)
            except BaseException:
                discard(file, new, made)
                raise
            try:
                access.apply(new.fd)
                new.appear()
            except BaseException:
                new.close()
                writer.abandon(is_log_needed=False)
                raise
        return writer

    @classmethod
    def create_without_log(cls, new: NewFile, description: MergedFileDescription) -> Self:
        """Write a file that is made from another one, and that nobody needs if it is not made to its end."""
        with creating(new.path):
            file = begin(new, description)
            try:
                return cls(new.path.with_name(new.name), file, open_on_disk(new.opened), None, description)
            except BaseException:
                discard(file, new, None)
                raise

    @property
    def has_lock(self) -> bool:
        """Whether the open file is locked; False on a file system that has no locks."""
        return self._disk.has_lock

    @property
    def is_removed(self) -> bool:
        """Whether somebody has removed the file, so that its events are in no file."""
        return self.change == REMOVED

    @property
    def change(self) -> str:
        """What somebody has done to the file while it is open: removed or moved it; empty if it is there."""
        return self._disk.find_change(self.path)

    def append(self, event: LoggedEvent, parts: Sequence[NDArray[np.int16]]) -> None:
        """Append an event.

        Parameters
        ----------
        event
            What is known of it; its places and its checksum are not used.
        parts
            Traces of each dataset of the layout, int16 (n, 517), C-contiguous; they are neither copied nor kept.

        Raises
        ------
        OSError
            The event could not be written; the file is as before.
        FileFormatError
            The event does not fit the layout.
        """
        if len(parts) != len(self._description.datasets) or event.id > _MAX_ID:
            raise FileFormatError(f"{self.path}: event {event.id} does not fit layout {self._description.layout}")
        self._settle()
        n_bytes = sum(part.nbytes for part in parts)
        n = self.n_events
        with self._writing(f"event {event.id}"):
            self._disk.reserve(self._file.id.get_filesize() + n_bytes + _EVENT_BYTES)
            begun = self._checksums.begin_parts(parts, n_bytes)
            try:
                places, checksum = self._write_event(n, event, parts, begun)
            except BaseException:
                self._checksums.end(begun)  # until then the caller's traces are in use
                self._remove_group(n)
                raise
        self._last = LoggedEvent(
            id=event.id,
            epoch=event.epoch,
            timestamp=event.timestamp,
            timestamp_other=event.timestamp_other,
            is_complete=event.is_complete,
            places=tuple(places),
            missing_boards=event.missing_boards,
            checksum=checksum,
        )
        self._last_bytes = n_bytes
        self.n_events += 1
        self.n_bytes += n_bytes

    def drop_last(self) -> None:
        """Remove the event that was appended last, directly after `append`: its traces changed meanwhile.

        Raises
        ------
        FileFormatError
            There is no such event.
        """
        if self._last is None:
            raise FileFormatError(f"{self.path}: the last event is safe and cannot be removed")
        self._last = None
        self.n_events -= 1
        self.n_bytes -= self._last_bytes
        self._remove_group(self.n_events)

    def flush(self) -> None:
        """Make all events safe; raises OSError, also if somebody has removed or moved the file."""
        self._settle()
        self._disk.begin_write_back()
        if self.change:
            raise FileNotFoundError(errno.ENOENT, f"the file was {self.change} during the run", str(self.path))

    def finish(self, report: RunReport, after_each: Callable[[], None] = lambda: None) -> None:
        """Write the end of the run, close the file, wait until it is on the disk, and remove the log.

        If this fails, the log stays, and `std-daq recover` makes the file from it.

        Parameters
        ----------
        report
            Report of the run.
        after_each
            Called from time to time while a slow disk writes.

        Raises
        ------
        OSError
            The end could not be written, or somebody has removed or moved the file.
        """
        is_whole = False
        try:
            self._finish(report, after_each)
            is_whole = True
        finally:
            if self._log is not None:
                self._log.close(is_needed=not is_whole)

    def _finish(self, report: RunReport, after_each: Callable[[], None]) -> None:
        try:
            self._settle()
            n_ids = len(self._incomplete) + len(report.lost_image_ids)
            if not self._disk.hold(8 * n_ids + END_BYTES):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
            with self._writing("the end of the run"):
                self._write_end(report)
                self._file.flush()
                change = self.change
                self._file.close()
        finally:
            if self._file:  # it is not closed
                close_regardless(self._file)
            self._release()
        if change:
            raise FileNotFoundError(errno.ENOENT, f"the file was {change} during the run", str(self.path))
        sync_file(self.path, after_each, None if self._log is None else self._log.folder)

    def abandon(self, *, is_log_needed: bool = True) -> None:
        """Close what is open without the end of the run; the log stays if it is needed."""
        close_regardless(self._file)
        self._release()
        if self._log is not None:
            self._log.close(is_needed=is_log_needed)

    def _release(self) -> None:
        self._disk.close()
        self._checksums.close()
        os.close(self._fd)

    def _settle(self) -> None:
        """Write the last event into the log; from now on it cannot be dropped."""
        event = self._last
        if event is None:
            return
        if self._log is not None:
            self._log.append(event)
        self._times = [*self._times[:1], event.timestamp]
        if not event.is_complete:
            self._incomplete.append(self.n_events - 1)
        self._last = None
        self.n_safe = self.n_events

    def _write_event(
        self, n: int, event: LoggedEvent, parts: Sequence[NDArray[np.int16]], begun: Begun
    ) -> tuple[list[tuple[int, int]], int]:
        """Write an event; return where its traces lie, and their checksum.

        This calls the lower level of h5py, which takes a third of the time.
        """
        group = h5py.h5g.create(self._events.id, layout.event_name(n).encode())
        _write_attribute(group, layout.EPOCH, np.array(event.epoch, "<u4"))
        _write_attribute(group, layout.COMPLETE, np.array(event.is_complete, "u1"))
        _write_attribute(group, layout.MISSING_BOARDS, np.frombuffer(event.missing_boards, np.uint8).reshape(-1, 2))
        item: h5py.h5g.GroupID | h5py.h5d.DatasetID
        if self._description.layout is Layout.V2_0:
            item = h5py.h5g.create(group, layout.GET.encode())
            places = [
                self._write_traces(item, name, part)[1] for name, part in zip(layout.DATASETS_2_0, parts, strict=True)
            ]
        else:
            item, place = self._write_traces(group, layout.GET_TRACES, parts[0])
            places = [place]
        _write_attribute(item, "id", np.array(event.id, "<u4"))
        _write_attribute(item, "timestamp", np.array(event.timestamp, "<u8"))
        _write_attribute(item, "timestamp_other", np.array(event.timestamp_other, "<u8"))
        checksum = self._checksums.end(begun)
        _write_attribute(group, layout.CHECKSUM, np.array(checksum, "<u8"))
        return places, checksum

    def _write_traces(
        self, group: h5py.h5g.GroupID, name: str, traces: NDArray[np.int16]
    ) -> tuple[h5py.h5d.DatasetID, tuple[int, int]]:
        """Write a dataset past HDF5, which would copy it, and return where it lies."""
        kind, creation = self._types
        dataset = h5py.h5d.create(group, name.encode(), kind, h5py.h5s.create_simple(traces.shape), creation)
        if not traces.size:
            return dataset, (0, 0)
        offset = dataset.get_offset()
        if offset is None:
            raise FileFormatError(f"{self.path}: HDF5 gives {name} no place in the file")
        _write_all(self._fd, traces.data.cast("B"), offset)
        return dataset, (offset, len(traces))

    def _remove_group(self, n: int) -> None:
        with suppress(*HDF5_ERRORS):
            self._events.id.unlink(layout.event_name(n).encode())

    def _write_end(self, report: RunReport) -> None:
        first, last = (self._times * 2)[:2] if self._times else (0, 0)
        times = {"min_get_ts": first, "max_get_ts": last}
        for name, value in {"max_event": max(self.n_events - 1, 0), **times}.items():
            self._events.attrs.modify(name, np.uint64(value))
        self._events.attrs.create(layout.INCOMPLETE_EVENTS, np.array(self._incomplete, "u8"))
        root = self._file.attrs
        root.create(layout.LOST_EVENT_IDS, np.array(report.lost_image_ids, "u8"))
        root[layout.REPORT] = report.model_copy(update={"lost_image_ids": ()}).model_dump_json()
        root.create(layout.CHECKSUM, np.uint64(checksum_of_texts(self._file)))

    @contextmanager
    def _writing(self, what: str) -> Iterator[None]:
        try:
            yield
        except FileFormatError:
            raise
        except HDF5_ERRORS as error:
            raise explained_error(error, self.path, f"cannot write {what}") from error


def _dataset_types() -> tuple[h5py.h5t.TypeID, h5py.h5p.PropDCID]:
    """Return the type of a dataset, and how it is stored: in one piece, whose place is known at once."""
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_layout(h5py.h5d.CONTIGUOUS)
    creation.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    creation.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    return h5py.h5t.py_create(_TRACE_TYPE), creation


def _write_attribute(item: h5py.h5g.GroupID | h5py.h5d.DatasetID, name: str, value: NDArray[Any]) -> None:
    space = h5py.h5s.create_simple(value.shape) if value.shape else h5py.h5s.create(h5py.h5s.SCALAR)
    attribute = h5py.h5a.create(item, name.encode(), h5py.h5t.py_create(value.dtype), space)
    if value.size:
        attribute.write(value)


def _write_all(fd: int, data: memoryview, offset: int) -> None:
    while data:
        n = os.pwrite(fd, data, offset)
        data, offset = data[n:], offset + n
