"""The pcapng file format: https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-02.html."""

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from std_daq.errors import CaptureError
from std_daq.packets.pcap.records import MAX_RECORD_BYTES, CapturedRecord, take

_INTERFACE, _OBSOLETE_PACKET, _SIMPLE_PACKET, _ENHANCED_PACKET = 1, 2, 3, 6
_SECTION_START = bytes.fromhex("0a0d0d0a")
_BYTE_ORDERS = {bytes.fromhex("4d3c2b1a"): "<", bytes.fromhex("1a2b3c4d"): ">"}

_OPTION_END, _OPTION_TIME_RESOLUTION, _OPTION_TIME_OFFSET = 0, 9, 14

# a block's type and total length precede its body, and the total length is repeated behind it
_N_BEFORE, _N_AFTER = 8, 4
_N_LEAST_BLOCK = _N_BEFORE + _N_AFTER


class _BadBlockError(Exception):
    """The content of a block contradicts itself."""


@dataclass(frozen=True, slots=True)
class _Interface:
    """Description of an interface, which applies to all packets captured there."""

    link_type: int
    snap_length: int
    units_per_s: int
    offset_s: int

    def time_ns(self, high: int, low: int) -> int:
        return self.offset_s * 1_000_000_000 + ((high << 32 | low) * 1_000_000_000) // self.units_per_s


def is_nextgen(start: bytes) -> bool:
    """Return whether a file that starts with these bytes is a pcapng file."""
    return start[:4] == _SECTION_START


def read_nextgen(path: Path, data: mmap.mmap, damages: list[str]) -> Iterator[CapturedRecord]:
    """Yield the records of a pcapng file, from all its sections and interfaces.

    If the file ends within a block, or a block contradicts itself, this is added to ``damages``. The records before it,
    and those after it if they can be found, are yielded.

    Raises
    ------
    CaptureError
        A section has an unknown byte order.
    """
    order = "<"
    interfaces: list[_Interface] = []
    at = 0
    while at < len(data):
        if is_nextgen(data[at : at + 4]) and at + _N_LEAST_BLOCK <= len(data):
            order = _byte_order(path, at, data[at + 8 : at + 12])
            interfaces = []
        try:
            kind, n_block, body = _block(path, data, at, order)
        except CaptureError as error:
            following = _next_packet(data, at, order)
            damages.append(f"{error}; {following - at} bytes are left out")
            at = following
            continue
        try:
            if kind == _INTERFACE:
                interfaces.append(_interface(order, body))
            elif kind in _PACKET_READERS:
                yield _PACKET_READERS[kind](order, body, interfaces, at)
        except (struct.error, _BadBlockError) as error:
            damages.append(f"{path}: byte {at}: a block of type {kind} is bad: {error}")
        at += n_block


def _block(path: Path, data: mmap.mmap, at: int, order: str) -> tuple[int, int, bytes]:
    """Return type, length and body of the block at a place; raises CaptureError."""
    start = take(path, data, at, _N_LEAST_BLOCK, "block header")
    kind, n_block = struct.unpack_from(order + "II", start)
    if n_block < _N_LEAST_BLOCK or n_block % 4:
        raise CaptureError(f"{path}: byte {at}: a block cannot have {n_block} bytes")
    block = take(path, data, at, n_block, "block")
    if struct.unpack_from(order + "I", block, n_block - _N_AFTER)[0] != n_block:
        raise CaptureError(f"{path}: byte {at}: a block's two lengths differ")
    return kind, n_block, block[_N_BEFORE : n_block - _N_AFTER]


def _next_packet(data: mmap.mmap, bad: int, order: str) -> int:
    """Return the next packet block behind a bad block; the end of the file if there is none."""
    pattern = struct.pack(order + "I", _ENHANCED_PACKET)
    at = data.find(pattern, bad + 4)
    while at >= 0:
        if at % 4 == 0 and at + _N_LEAST_BLOCK <= len(data):
            (n_block,) = struct.unpack_from(order + "I", data, at + 4)
            end = at + n_block
            is_length = _N_LEAST_BLOCK < n_block <= 2 * MAX_RECORD_BYTES and n_block % 4 == 0 and end <= len(data)
            if is_length and struct.unpack_from(order + "I", data, end - _N_AFTER)[0] == n_block:
                return at
        at = data.find(pattern, at + 1)
    return len(data)


def _byte_order(path: Path, at: int, magic: bytes) -> str:
    try:
        return _BYTE_ORDERS[magic]
    except KeyError:
        raise CaptureError(f"{path}: byte {at}: unknown byte order mark {magic.hex()}") from None


def _interface(order: str, body: bytes) -> _Interface:
    link_type, _, snap_length = struct.unpack_from(order + "HHI", body)
    units_per_s, offset_s = 1_000_000, 0
    at = 8
    while at + 4 <= len(body):
        code, n_bytes = struct.unpack_from(order + "HH", body, at)
        at += 4
        if code == _OPTION_END:
            break
        if code == _OPTION_TIME_RESOLUTION:
            (exponent,) = struct.unpack_from("B", body, at)
            units_per_s = 2 ** (exponent & 0x7F) if exponent & 0x80 else 10**exponent
        elif code == _OPTION_TIME_OFFSET:
            (offset_s,) = struct.unpack_from(order + "q", body, at)
        # options are padded to a multiple of 4 bytes
        at += n_bytes + -n_bytes % 4
    return _Interface(link_type, snap_length, units_per_s, offset_s)


def _record(
    interfaces: list[_Interface], index: int, offset: int, stamp: tuple[int, int], data: bytes
) -> CapturedRecord:
    if index >= len(interfaces):
        raise _BadBlockError(f"interface {index} is not described")
    interface = interfaces[index]
    return CapturedRecord(offset, interface.time_ns(*stamp), interface.link_type, data)


def _packet(body: bytes, at: int, n_captured: int) -> bytes:
    data = body[at : at + n_captured]
    if n_captured > MAX_RECORD_BYTES or len(data) < n_captured:
        raise _BadBlockError(f"a packet of {n_captured} bytes does not fit into a block of {len(body)} bytes")
    return data


def _enhanced(order: str, body: bytes, interfaces: list[_Interface], offset: int) -> CapturedRecord:
    index, high, low, n_captured, _ = struct.unpack_from(order + "IIIII", body)
    return _record(interfaces, index, offset, (high, low), _packet(body, 20, n_captured))


def _obsolete(order: str, body: bytes, interfaces: list[_Interface], offset: int) -> CapturedRecord:
    index, _, high, low, n_captured, _ = struct.unpack_from(order + "HHIIII", body)
    return _record(interfaces, index, offset, (high, low), _packet(body, 20, n_captured))


def _simple(order: str, body: bytes, interfaces: list[_Interface], offset: int) -> CapturedRecord:
    (n_bytes,) = struct.unpack_from(order + "I", body)
    snap_length = interfaces[0].snap_length if interfaces else 0
    n_captured = min(n_bytes, snap_length) if snap_length else n_bytes
    return _record(interfaces, 0, offset, (0, 0), _packet(body, 4, n_captured))


_PACKET_READERS = {_ENHANCED_PACKET: _enhanced, _OBSOLETE_PACKET: _obsolete, _SIMPLE_PACKET: _simple}
