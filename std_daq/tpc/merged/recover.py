"""Repair of merged files whose writer was killed, from the event log.

HDF5 cannot read such a file, but the traces in it are whole, and the log tells where they lie. The repair writes a new
file beside it, and lets that take its place once it is on the disk. Until then the old file and its log are unchanged,
so a repair that was killed can be made again. It needs as much room on the disk as the file has.
"""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from std_daq.checksums import checksum_of_parts
from std_daq.errors import HDF5_ERRORS, FileFormatError
from std_daq.folders.new_file import NewFile
from std_daq.recording.disk_file import sync_folder
from std_daq.recording.repair import RECOVERED, Recovery, lock_for_repair
from std_daq.recording.requests import FaultCount, RunReport, Verdict
from std_daq.tpc.merged import layout
from std_daq.tpc.merged.description import MergedFileDescription
from std_daq.tpc.merged.event_log import LoggedEvent, log_path, read_log
from std_daq.tpc.merged.faults import MISSING_BOARDS
from std_daq.tpc.merged.reader import MergedFile
from std_daq.tpc.merged.writer import MergedFileWriter

_TRACE_BYTES = layout.N_COLUMNS * 2


def recover_merged(path: Path, *, after_each: Callable[[], None] = lambda: None) -> Recovery:
    """Repair a merged file; a file that needs no repair is not changed.

    Parameters
    ----------
    path
        Path of the file.
    after_each
        Called after each event.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    FileFormatError
        The file is damaged and has no event log, or it is open in another process.
    OSError
        The disk has no room for the new file.
    """
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        has_lock = lock_for_repair(fd, path)
        log = log_path(path)
        if not log.exists():
            with MergedFile(path, locking=False) as file:
                return Recovery(path, len(file), (), "events")
        head, records = read_log(log)
        events = list(records)
        if _is_whole(path, len(events)):
            log.unlink()
            return Recovery(path, len(events), ("event log removed: the file is whole",), "events")
        n_events = _make_again(path, fd, _description_of(head, log), events, after_each)
        log.unlink()
    finally:
        os.close(fd)
    actions = [f"made again from its event log, with {n_events} of {len(events)} events"]
    actions += [f"verdict written: {Verdict.FAILED}: {RECOVERED}"]
    if not has_lock:
        actions.append("repaired without a lock, which this file system does not have")
    return Recovery(path, n_events, tuple(actions), "events")


def _is_whole(path: Path, n_events: int) -> bool:
    """Return whether the writer was killed only after it had closed the file."""
    try:
        with MergedFile(path, locking=False) as file:
            return len(file) == n_events and bool(file.run_attributes.get(layout.REPORT))
    except FileFormatError:
        return False


def _description_of(head: dict[str, object], log: Path) -> MergedFileDescription:
    try:
        return MergedFileDescription.from_json(head)
    except (ValueError, TypeError, KeyError) as error:
        raise FileFormatError(f"{log}: the beginning of the event log is damaged: {error}") from None


def _make_again(
    path: Path,
    fd: int,
    description: MergedFileDescription,
    events: list[LoggedEvent],
    after_each: Callable[[], None],
) -> int:
    """Write the new file, and put it into the place of the old one; return the number of its events."""
    old = os.fstat(fd)
    with NewFile(path) as new:
        writer = MergedFileWriter.create_without_log(new, description)
        is_closed = False
        kept: list[LoggedEvent] = []
        try:
            for event, parts in _stored(fd, old.st_size, events):
                writer.append(event, parts)
                kept.append(event)
                after_each()
            is_closed = True
            writer.finish(_report(description, kept))
            os.fchmod(new.fd, old.st_mode & 0o7777)
            with suppress(PermissionError):  # without the right to give files away, it belongs to who repairs it
                os.chown(new.fd, old.st_uid, old.st_gid)
            new.replace()
        except BaseException:
            if not is_closed:
                writer.abandon()
            raise
    sync_folder(path.parent)
    return writer.n_events


def _stored(
    fd: int, n_file_bytes: int, events: list[LoggedEvent]
) -> Iterator[tuple[LoggedEvent, list[NDArray[np.int16]]]]:
    """Yield the events whose traces are in the file as they were written, up to the first that lies behind its end."""
    for event in events:
        parts = []
        for offset, n_traces in event.places:
            if n_traces > layout.MAX_TRACES or offset + n_traces * _TRACE_BYTES > n_file_bytes:
                return
            data = os.pread(fd, n_traces * _TRACE_BYTES, offset)
            parts.append(np.frombuffer(data, "<i2").reshape(-1, layout.N_COLUMNS))
        if checksum_of_parts(parts) == event.checksum:
            yield event, parts


def _report(description: MergedFileDescription, events: list[LoggedEvent]) -> RunReport:
    try:
        n_requested = json.loads(description.request_json).get("n_images")
    except (*HDF5_ERRORS,):
        n_requested = None
    n_incomplete = sum(not event.is_complete for event in events)
    boards = sorted({board for event in events for board in zip(*[iter(event.missing_boards)] * 2, strict=True)})
    return RunReport(
        request_id=description.request_id,
        verdict=Verdict.FAILED,
        reason=f"{RECOVERED}; how many events are lost is not known",
        n_requested=n_requested,
        n_written=len(events),
        n_incomplete=n_incomplete,
        faults={MISSING_BOARDS: FaultCount(n_images=n_incomplete, boards=tuple(boards))} if n_incomplete else {},
    )
