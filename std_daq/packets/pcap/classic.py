"""The pcap file format: https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-04.html."""

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from std_daq.errors import CaptureError
from std_daq.packets.pcap.records import MAX_RECORD_BYTES, CapturedRecord, take

_FILE_HEADER = "IHHiIII"
_RECORD_HEADER = "IIII"
_N_FILE_HEADER = 24
_N_RECORD_HEADER = 16
_FRACTIONS = 1_000_000_000
_WRITTEN_MAGIC = 0xA1B23C4D

# first 4 bytes of the file: byte order, and nanoseconds per unit of a time stamp's fraction
_MAGICS = {
    bytes.fromhex("d4c3b2a1"): ("<", 1000),
    bytes.fromhex("a1b2c3d4"): (">", 1000),
    bytes.fromhex("4d3cb2a1"): ("<", 1),
    bytes.fromhex("a1b23c4d"): (">", 1),
}
# the bits above these hold the length of a frame check sequence
_LINK_TYPE_MASK = 0x0FFF_FFFF


def is_classic(start: bytes) -> bool:
    """Return whether a file that starts with these bytes is a pcap file."""
    return start[:4] in _MAGICS


def read_classic(path: Path, data: mmap.mmap, damages: list[str]) -> Iterator[CapturedRecord]:
    """Yield the records of a pcap file.

    If the file ends within a record, or contains a record that is too long, this is added to ``damages``. The records
    before it, and those after it if they can be found, are yielded.

    Raises
    ------
    CaptureError
        The file ends within its header.
    """
    order, fraction_ns = _MAGICS[data[:4]]
    header = take(path, data, 0, _N_FILE_HEADER, "file header")
    link_type = struct.unpack(order + _FILE_HEADER, header)[6] & _LINK_TYPE_MASK
    unpack = struct.Struct(order + _RECORD_HEADER).unpack
    at = _N_FILE_HEADER
    seconds = 0
    while at < len(data):
        try:
            header = take(path, data, at, _N_RECORD_HEADER, "record header")
            n_captured = unpack(header)[2]
            if n_captured > MAX_RECORD_BYTES:
                raise CaptureError(f"{path}: byte {at}: a record cannot have {n_captured} bytes")
            packet = take(path, data, at + _N_RECORD_HEADER, n_captured, "record")
        except CaptureError as error:
            following = _next_record(data, at, order, seconds)
            damages.append(f"{error}; {following - at} bytes are left out")
            at = following
            continue
        seconds, fraction, _, _ = unpack(header)
        time_ns = seconds * 1_000_000_000 + fraction * fraction_ns
        yield CapturedRecord(at, time_ns, link_type, packet)
        at += _N_RECORD_HEADER + n_captured


def _next_record(data: mmap.mmap, bad: int, order: str, seconds: int) -> int:
    """Return where records go on behind a bad one; the end of the file if that cannot be told.

    A record is recognised by its time, within some hours of the last one, and by the record behind it.
    """
    high_bytes = slice(2, 4) if order == "<" else slice(0, 2)
    pattern = struct.pack(order + "I", seconds)[high_bytes]
    unpack_from = struct.Struct(order + _RECORD_HEADER).unpack_from

    def end_of(at: int) -> int | None:
        """Return the end of the record at this place; None if there is none."""
        if at + _N_RECORD_HEADER > len(data) or data[at + high_bytes.start : at + high_bytes.stop] != pattern:
            return None
        _, fraction, n_captured, n_bytes = unpack_from(data, at)
        end: int = at + _N_RECORD_HEADER + n_captured
        is_record = fraction < _FRACTIONS and n_captured <= min(n_bytes, MAX_RECORD_BYTES) and end <= len(data)
        return end if is_record else None

    found = data.find(pattern, bad + 1 + high_bytes.start) if seconds else -1
    while found >= 0:
        at = found - high_bytes.start
        end = end_of(at)
        if end is not None and (end == len(data) or end_of(end) is not None):
            return at
        found = data.find(pattern, found + 1)
    return len(data)


class PcapWriter:
    """Writer of a new pcap file, little-endian, with time stamps in nanoseconds.

    Parameters
    ----------
    path
        Path of the file, which must not exist yet.
    link_type
        Number of the link layer of all packets.

    Raises
    ------
    CaptureError
        The file exists or cannot be written.
    """

    def __init__(self, path: Path, link_type: int) -> None:
        try:
            self._file = path.open("xb")
        except OSError as error:
            raise CaptureError(f"{path}: cannot be created: {error.strerror}") from error
        header = struct.pack("<" + _FILE_HEADER, _WRITTEN_MAGIC, 2, 4, 0, 0, MAX_RECORD_BYTES, link_type)
        self._file.write(header)

    def append(self, time_ns: int, packet: bytes) -> None:
        """Write one packet, including its link layer header."""
        seconds, fraction = divmod(time_ns, 1_000_000_000)
        self._file.write(struct.pack("<" + _RECORD_HEADER, seconds, fraction, len(packet), len(packet)))
        self._file.write(packet)

    def close(self) -> None:
        """Flush and close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
