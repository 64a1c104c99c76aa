"""The event log beside a merged file that is being written: from it the file can be made again if its writer dies.

HDF5 keeps what describes a file in memory, so a file that was not closed is of no use to it. The traces of an event,
however, are in the file at once. So the writer notes in the log where they lie: a record for each event, written after
its traces. A file that is closed needs no log, and the log is removed.

The log is ``.<name>.eventlog`` in the folder of the file. It begins with `MAGIC` and the length of a JSON text (u32),
and that text, which describes the file. Each record is its length (u32), the CRC-32 of what follows (u32), a struct of
`_EVENT`, a struct of `_PLACE` for each dataset, and the missing boards, 2 bytes each. All numbers are little-endian.
"""

import json
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from std_daq.errors import FileFormatError
from std_daq.folders.open_folder import OpenFolder

MAGIC = b"STDMLOG2"
_LENGTH = struct.Struct("<I")
_FRAME = struct.Struct("<II")
_EVENT = struct.Struct("<QIQQQBBH")  # id, epoch, timestamp, timestamp_other, checksum, complete, n_datasets, n_missing
_PLACE = struct.Struct("<QI")  # offset in the file, n_traces
_MAX_RECORD_BYTES = 1 << 16
_MAX_HEAD_BYTES = 1 << 24


def log_path(path: Path) -> Path:
    """Return the path of the log of a merged file."""
    return path.with_name(f".{path.name}.eventlog")


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """One record: what is known of an event, and where its traces lie.

    Attributes
    ----------
    places
        Offset in the file and number of traces, for each dataset of the event.
    missing_boards
        The boards that are missing: cobo and asad, a byte each, one board after another.
    checksum
        Checksum of the traces of all datasets, one behind the other.
    """

    id: int
    epoch: int
    timestamp: int
    timestamp_other: int
    is_complete: bool
    places: tuple[tuple[int, int], ...]
    missing_boards: bytes
    checksum: int = 0

    def to_bytes(self) -> bytes:
        """Return the record."""
        body = _EVENT.pack(
            self.id,
            self.epoch,
            self.timestamp,
            self.timestamp_other,
            self.checksum,
            self.is_complete,
            len(self.places),
            len(self.missing_boards) // 2,
        )
        body += b"".join(_PLACE.pack(*place) for place in self.places) + self.missing_boards
        return _FRAME.pack(len(body), zlib.crc32(body)) + body

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Return the event of a record's body, whose checksum is right."""
        event_id, epoch, timestamp, timestamp_other, checksum, complete, n_places, n_missing = _EVENT.unpack_from(body)
        end = _EVENT.size + n_places * _PLACE.size
        return cls(
            id=event_id,
            epoch=epoch,
            timestamp=timestamp,
            timestamp_other=timestamp_other,
            is_complete=bool(complete),
            places=tuple(_PLACE.iter_unpack(body[_EVENT.size : end])),
            missing_boards=body[end : end + 2 * n_missing],
            checksum=checksum,
        )


class EventLog:
    """The log of a file that is being written.

    Parameters
    ----------
    path
        Path of the log, which must not exist.
    folder
        Its folder.
    head
        What describes the file; it can be written as JSON.

    Raises
    ------
    FileExistsError
        There is a log already.
    """

    def __init__(self, path: Path, folder: OpenFolder, head: dict[str, Any]) -> None:
        self.path = path
        self.folder = folder.again()  # the log is removed at the end, from this folder and no other
        try:
            self.fd = self.folder.make(path.name, flags=os.O_APPEND)
        except BaseException:
            self.folder.close()
            raise
        try:
            text = json.dumps(head).encode()
            self._write(MAGIC + _LENGTH.pack(len(text)) + text)
        except BaseException:
            self.close(is_needed=False)
            raise

    def append(self, event: LoggedEvent) -> None:
        """Write a record; raises OSError, and leaves no part of the record behind if the system can."""
        self._write(event.to_bytes())

    def close(self, *, is_needed: bool) -> None:
        """Close the log, and remove it if the file is whole, or gone, so that nobody needs it."""
        os.close(self.fd)
        with self.folder:
            if not is_needed:
                self.folder.remove(self.path.name)

    def _write(self, data: bytes) -> None:
        before = os.fstat(self.fd).st_size
        try:
            while data:
                data = data[os.write(self.fd, data) :]
        except OSError:
            os.ftruncate(self.fd, before)
            raise


def read_log(path: Path) -> tuple[dict[str, Any], Iterator[LoggedEvent]]:
    """Return what describes the file of a log, and its records; a record that was not written to its end ends them.

    Raises
    ------
    FileNotFoundError
        There is no log.
    FileFormatError
        This is no log, or its beginning is damaged.
    """
    data = path.read_bytes()
    start = len(MAGIC) + _LENGTH.size
    if len(data) < start or not data.startswith(MAGIC):
        raise FileFormatError(f"{path}: no event log")
    (n_bytes,) = _LENGTH.unpack_from(data, len(MAGIC))
    try:
        head = json.loads(data[start : start + n_bytes]) if n_bytes <= _MAX_HEAD_BYTES else None
    except ValueError:
        head = None
    if not isinstance(head, dict):
        raise FileFormatError(f"{path}: the beginning of the event log is damaged")
    return head, _records(memoryview(data)[start + n_bytes :])


def _records(data: memoryview) -> Iterator[LoggedEvent]:
    while len(data) >= _FRAME.size:
        n_bytes, checksum = _FRAME.unpack_from(data)
        body = bytes(data[_FRAME.size : _FRAME.size + n_bytes])
        if not _EVENT.size <= n_bytes <= _MAX_RECORD_BYTES or len(body) < n_bytes or zlib.crc32(body) != checksum:
            return
        yield LoggedEvent.parse(body)
        data = data[_FRAME.size + n_bytes :]
