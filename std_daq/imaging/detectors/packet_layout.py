"""PacketLayout: a detector's packets described as data, so that one compiled receive kernel serves all detectors."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class HeaderField:
    """Position of a number in the header; its value is ``(little-endian integer at offset >> shift) & mask``.

    Parameters
    ----------
    offset
        First byte, counted from the start of the datagram.
    width
        Number of bytes: 1, 2, 4 or 8.
    shift, mask
        Applied in this order; by default the mask keeps all bits.
    kind
        ``float64`` if the number is stored as a double (width 8), which is converted to an integer.
    """

    offset: int
    width: Literal[1, 2, 4, 8]
    shift: int = 0
    mask: int = 2**64 - 1
    kind: Literal["uint", "float64"] = "uint"

    def read(self, datagram: bytes | memoryview) -> int:
        """Return the number; plain Python for tools and tests, and the reference for the kernel."""
        raw = bytes(datagram[self.offset : self.offset + self.width])
        if self.kind == "float64":
            return int(struct.unpack("<d", raw)[0])
        return (int.from_bytes(raw, "little") >> self.shift) & self.mask


@dataclass(frozen=True, slots=True)
class HeaderCheck:
    """A field that must have one value; a packet with another value is rejected and counted under ``reason``.

    ``reason`` is ``foreign_detector``, ``foreign_version`` or ``foreign_module``.
    """

    field: HeaderField
    expected: int
    reason: Literal["foreign_detector", "foreign_version", "foreign_module"]


@dataclass(frozen=True, slots=True)
class PacketLayout:
    """Description of one module's packets: how to read their headers and where to place their pixels.

    A frame consists of ``n_units`` units of ``unit_bytes`` each, usually of whole rows. A packet carries one
    or more whole units. The number of its first unit is in the field ``unit``, and its pixels are placed at
    ``(unit - first_unit) * unit_bytes``. For most detectors a unit is the payload of a packet. GIGAFROST chooses the
    number of rows in a packet itself; there a unit is one row.

    Parameters
    ----------
    header_bytes
        Number of bytes before the pixels.
    unit_bytes, n_units
        Size of a unit in bytes, and number of units in a frame.
    units_per_packet
        Number of units in a full packet; 0 if it is known only from the packets themselves.
    max_units_per_packet
        Largest number of units in a packet.
    max_padding_bytes
        Largest number of bytes that may follow the units; they are dropped.
    first_unit
        Number in the field ``unit`` that the first unit of a frame has. It is not 0 if the detector reads only some of
        its rows and numbers the packets as if it read all.
    range_hints
        What to ask the user if of each frame only the units from a first to a last one come, both included.
    key
        Frame number. Packets with the same key belong to the same frame; keys are consecutive.
    unit
        Number of the packet's first unit.
    image_id, pulse_id, timestamp, exposure_length, daq_rec, storage_cell, module_id, row, column
        Copied from the first packet of a frame into the ModuleFrame. If a field is None, 0 is written; for
        ``image_id`` the key.
    timestamp_units
        Unit of ``timestamp``, such as "100 ns"; empty if it is not known. Files name it.
    checks
        Checks that a packet must pass before it is placed.
    identity
        A field with the same value in all packets of a port, for example the number of the board. The receiver learns
        the value from the packets; it rejects a packet with another value as ``foreign_module``.
    length_hints
        What to ask the user if packets of another length come, by their length in bytes: "is the detector set to 1 Gb?"
    count_hints
        What to ask the user if a frame has another number of packets, by this number.
    """

    header_bytes: int
    unit_bytes: int
    n_units: int
    units_per_packet: int
    max_units_per_packet: int
    key: HeaderField
    unit: HeaderField
    image_id: HeaderField | None = None
    pulse_id: HeaderField | None = None
    timestamp: HeaderField | None = None
    timestamp_units: str = ""
    exposure_length: HeaderField | None = None
    daq_rec: HeaderField | None = None
    storage_cell: HeaderField | None = None
    module_id: HeaderField | None = None
    row: HeaderField | None = None
    column: HeaderField | None = None
    checks: tuple[HeaderCheck, ...] = ()
    identity: HeaderField | None = None
    max_padding_bytes: int = 0
    first_unit: int = 0
    range_hints: Mapping[tuple[int, int], str] = field(default_factory=dict)
    length_hints: Mapping[int, str] = field(default_factory=dict)
    count_hints: Mapping[int, str] = field(default_factory=dict)

    @property
    def frame_bytes(self) -> int:
        """Size of a frame's pixels, in bytes."""
        return self.unit_bytes * self.n_units

    @property
    def packets_per_frame(self) -> int:
        """Number of packets in a whole frame; the smallest possible number if ``units_per_packet`` is 0."""
        return -(-self.n_units // (self.units_per_packet or self.max_units_per_packet))

    @property
    def max_packet_bytes(self) -> int:
        """Length of the longest datagram, in bytes."""
        return self.header_bytes + self.max_units_per_packet * self.unit_bytes + self.max_padding_bytes

    @property
    def lengths_in_words(self) -> str:
        """Lengths of the datagrams that fit: "4144", or "68 to 7432"."""
        if self.units_per_packet:
            return str(self.header_bytes + self.units_per_packet * self.unit_bytes)
        return f"{self.header_bytes + self.unit_bytes} to {self.max_packet_bytes}"

    def has_length(self, n_bytes: int) -> bool:
        """Return whether a datagram of this length may fit."""
        n_units, padding = divmod(n_bytes - self.header_bytes, self.unit_bytes)
        allowed = range(1, self.max_units_per_packet + 1)
        if self.units_per_packet:
            allowed = range(self.units_per_packet, self.units_per_packet + 1)
        return n_units in allowed and padding <= self.max_padding_bytes
