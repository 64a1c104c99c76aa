"""Captures with one file per port, ``<udp port>.dat``; a record is a length (u64, little-endian) and a datagram."""

import contextlib
import mmap
import struct
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from std_daq.errors import CaptureError

SUFFIX = ".dat"
MAX_DATAGRAM_BYTES = 65535
_LENGTH = struct.Struct("<Q")
_WRITE_BUFFER_BYTES = 1 << 20
_NOTHING = np.empty(0, np.int64)


def capture_path(directory: Path, port: int) -> Path:
    """Return the path of the capture file of a port."""
    return directory / f"{port}{SUFFIX}"


def port_of(path: Path) -> int:
    """Return the UDP port in the name of a capture file.

    Raises
    ------
    CaptureError
        The name is not ``<udp port>.dat``.
    """
    port = int(path.stem) if path.stem.isascii() and path.stem.isdecimal() and len(path.stem) <= 5 else 0
    if path.suffix != SUFFIX or not 0 < port < 65536:
        raise CaptureError(f"{path}: the name of a capture file is '<udp port>{SUFFIX}', such as '50032{SUFFIX}'")
    return port


def is_empty(path: Path) -> bool:
    """Return whether a file has no bytes; raises CaptureError if it cannot be read."""
    try:
        return path.is_file() and path.stat().st_size == 0
    except OSError as error:
        raise CaptureError(f"{path}: cannot be read: {error.strerror}") from error


def map_file(path: Path) -> mmap.mmap:
    """Map a file into memory for reading.

    Raises
    ------
    CaptureError
        The file does not exist, is not readable or is empty.
    """
    try:
        with path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except ValueError:
        raise CaptureError(f"{path}: the file is empty") from None
    except OSError as error:
        raise CaptureError(f"{path}: cannot be read: {error.strerror}") from error


class CaptureReader:
    """Sequence of the datagrams in a capture file, in the order of the capture; the file is mapped into memory.

    Parameters
    ----------
    path
        Path of the file.

    Attributes
    ----------
    path
        Path of the file.
    data
        The whole file: u8.
    offsets, lengths
        Offset and length of each datagram in `data`, in bytes: i64.
    damages
        What is damaged, as texts: the file is empty, ends within a record, or contains a length that no datagram can
        have. Each text names the file, the offset of the bad record, the fault, and how many bytes are left out. The
        datagrams before and after the damage are there.

    Raises
    ------
    CaptureError
        The file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damages: list[str] = []
        self._map: mmap.mmap | None = None
        if is_empty(path):
            self.damages.append(f"{path}: the file is empty")
            self.data: NDArray[np.uint8] = np.empty(0, np.uint8)
        else:
            self._map = map_file(path)
            self.data = np.frombuffer(self._map, np.uint8)
        parts = [*self._index()]
        self.offsets: NDArray[np.int64] = np.concatenate([_NOTHING, *(offsets for offsets, _ in parts)])
        self.lengths: NDArray[np.int64] = np.concatenate([_NOTHING, *(lengths for _, lengths in parts)])

    def _index(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Yield offsets and lengths of the datagrams of each healthy part of the file."""
        from std_daq.packets.kernels import index_records

        start = n_before = 0
        while start < self.data.size:
            part = self.data[start:]
            n_records, end = index_records(part, MAX_DATAGRAM_BYTES, _NOTHING, _NOTHING)
            offsets, lengths = np.empty(n_records, np.int64), np.empty(n_records, np.int64)
            index_records(part, MAX_DATAGRAM_BYTES, offsets, lengths)
            yield offsets + start, lengths
            bad, n_before = start + end, n_before + n_records
            if bad == self.data.size:
                return
            usual = int(np.bincount(lengths).argmax()) if n_records else 0
            start = self._next_record(bad, usual)
            problem = _what_is_wrong(self.data[bad : bad + _LENGTH.size].tobytes(), self.data.size - bad)
            self.damages.append(
                f"{self.path}: record {n_before} at byte {bad}: {problem}; {start - bad} bytes are left out"
            )

    def _next_record(self, bad: int, usual: int) -> int:
        """Return where records go on behind a bad one; the end of the file if that cannot be told.

        Records go on where two lengths follow each other, both that of most datagrams before, or the last of the file.
        """
        if not usual or self._map is None:
            return self.data.size
        length, n_bytes = _LENGTH.pack(usual), _LENGTH.size + usual
        at = self._map.find(length, bad + 1)
        while at >= 0:
            end = at + n_bytes
            if end == self.data.size or self._map[end : end + _LENGTH.size] == length:
                return at
            at = self._map.find(length, at + 1)
        return self.data.size

    def __len__(self) -> int:
        return len(self.offsets)

    def __getitem__(self, index: int) -> bytes:
        start = self.offsets[index]
        return self.data[start : start + self.lengths[index]].tobytes()

    def columns(self, first: int, n_bytes: int) -> NDArray[np.uint8]:
        """Return the same range of bytes of every datagram, zeros where a datagram is shorter.

        Parameters
        ----------
        first, n_bytes
            First byte of the range, counted from the start of the datagram, and number of bytes.

        Returns
        -------
        NDArray
            u8, shape (n, n_bytes).
        """
        columns = np.zeros((len(self), n_bytes), np.uint8)
        last = self.data.size - 1
        for i in range(n_bytes):
            # beyond the end of a short datagram any valid place will do: the next line replaces the byte by 0
            places = np.minimum(self.offsets + (first + i), last)
            columns[:, i] = np.where(self.lengths > first + i, self.data[places], 0)
        return columns

    def close(self) -> None:
        """Close the file; its datagrams are no longer accessible."""
        self.data = np.empty(0, np.uint8)
        # if the caller still holds a view of the data, the mapping cannot be closed now; it ends with the view
        if self._map is not None:
            with contextlib.suppress(BufferError):
                self._map.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _what_is_wrong(start: bytes, n_left: int) -> str:
    """Return what is wrong with the record that starts with these bytes, `n_left` bytes before the end of the file."""
    if len(start) < _LENGTH.size:
        return f"the file ends within the length ({len(start)} of {_LENGTH.size} bytes)"
    (length,) = _LENGTH.unpack(start)
    if length > MAX_DATAGRAM_BYTES:
        return f"a datagram cannot have {length} bytes (at most {MAX_DATAGRAM_BYTES})"
    return f"the file ends within the datagram ({n_left - _LENGTH.size} of {length} bytes)"


class CaptureWriter:
    """Writer of a new capture file.

    Parameters
    ----------
    path
        Path of the file, which must not exist yet.

    Raises
    ------
    CaptureError
        The file exists or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = path.open("xb", buffering=_WRITE_BUFFER_BYTES)
        except OSError as error:
            raise CaptureError(f"{path}: cannot be created: {error.strerror}") from error

    def append(self, datagram: bytes | memoryview) -> None:
        """Write one datagram."""
        self.append_records(_LENGTH.pack(len(datagram)))
        self.append_records(datagram)

    def append_records(self, records: bytes | memoryview) -> None:
        """Write bytes that are whole records, lengths included."""
        try:
            self._file.write(records)
        except OSError as error:
            raise CaptureError(f"{self.path}: cannot be written: {error.strerror}") from error

    def flush(self) -> None:
        """Pass all records to the operating system, so that readers of the file see whole records."""
        try:
            self._file.flush()
        except OSError as error:
            raise CaptureError(f"{self.path}: cannot be written: {error.strerror}") from error

    def close(self) -> None:
        """Flush and close the file."""
        try:
            self._file.close()
        except OSError as error:
            raise CaptureError(f"{self.path}: cannot be written: {error.strerror}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
