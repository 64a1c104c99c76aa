"""Captures with one file per port, ``<udp port>.dat``; a record is a length (u64, little-endian) and a datagram."""

import contextlib
import mmap
import struct
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

    Raises
    ------
    CaptureError
        The file cannot be read, is empty, ends within a record, or contains a length that no datagram can have. The
        message names the file, the offset of the bad record, and the fault.
    """

    def __init__(self, path: Path) -> None:
        from std_daq.packets.kernels import index_records

        self.path = path
        self._map = map_file(path)
        self.data: NDArray[np.uint8] = np.frombuffer(self._map, np.uint8)
        nothing = np.empty(0, np.int64)
        n_records, end = index_records(self.data, MAX_DATAGRAM_BYTES, nothing, nothing)
        if end < self.data.size:
            problem = _what_is_wrong(self.data[end:].tobytes()[: _LENGTH.size], self.data.size - end)
            self.close()
            raise CaptureError(f"{path}: record {n_records} at byte {end}: {problem}")
        self.offsets: NDArray[np.int64] = np.empty(n_records, np.int64)
        self.lengths: NDArray[np.int64] = np.empty(n_records, np.int64)
        index_records(self.data, MAX_DATAGRAM_BYTES, self.offsets, self.lengths)

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
