"""PacketLayout: a detector's packets described as data, so that one compiled receive kernel serves all detectors."""

import struct
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class HeaderField:
    """Where a number stands in the header: ``(little-endian integer at offset >> shift) & mask``.

    Parameters
    ----------
    offset
        First byte, counted from the start of the datagram.
    width
        1, 2, 4 or 8 bytes.
    shift, mask
        Applied in this order; the mask keeps all bits by default.
    kind
        ``float64`` for a number that is stored as a double (width 8), taken as an integer.
    """

    offset: int
    width: Literal[1, 2, 4, 8]
    shift: int = 0
    mask: int = 2**64 - 1
    kind: Literal["uint", "float64"] = "uint"

    def read(self, datagram: bytes | memoryview) -> int:
        """Read the number in plain Python: for tools, tests and as the reference of the kernel."""
        raw = bytes(datagram[self.offset : self.offset + self.width])
        if self.kind == "float64":
            return int(struct.unpack("<d", raw)[0])
        return (int.from_bytes(raw, "little") >> self.shift) & self.mask


@dataclass(frozen=True, slots=True)
class HeaderCheck:
    """A field that has one right value; a packet with another is refused and counted under ``reason``.

    ``reason`` is ``foreign_detector``, ``foreign_version`` or ``foreign_module``.
    """

    field: HeaderField
    expected: int
    reason: Literal["foreign_detector", "foreign_version", "foreign_module"]


@dataclass(frozen=True, slots=True)
class PacketLayout:
    """How the packets of one module are read and placed.

    A frame consists of ``n_units`` units of ``unit_bytes`` each; a packet carries one or more whole units, starts at
    unit ``unit`` and is placed at ``unit * unit_bytes``. For most detectors a unit is the payload of a packet;
    where the number of rows in a packet is the detector's choice (GIGAFROST), a unit is a row. A unit is always
    whole rows.

    Parameters
    ----------
    header_bytes
        Bytes before the pixels.
    unit_bytes, n_units
        Size of a unit in bytes, and units of a frame.
    units_per_packet
        Units in a full packet; 0 where only the packets tell.
    max_units_per_packet
        The most units that a packet may carry.
    max_padding_bytes
        Bytes that may follow the units and are dropped.
    key
        The frame number: packets with the same key make a frame; consecutive.
    unit
        Number of the packet's first unit.
    image_id, pulse_id, timestamp, daq_rec, module_id, row, column
        Copied into the ModuleFrame from the first packet of a frame; None writes 0 (``image_id``: None takes the key).
    checks
        What has to hold before anything is placed.
    identity
        A field that is the same in all packets of a port (which board sent them): learned from the packets; a packet
        with another one is refused as ``foreign_module``.
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
    daq_rec: HeaderField | None = None
    module_id: HeaderField | None = None
    row: HeaderField | None = None
    column: HeaderField | None = None
    checks: tuple[HeaderCheck, ...] = ()
    identity: HeaderField | None = None
    max_padding_bytes: int = 0

    @property
    def frame_bytes(self) -> int:
        """Bytes of a frame's pixels."""
        return self.unit_bytes * self.n_units

    @property
    def packets_per_frame(self) -> int:
        """Packets of a whole frame; where only the packets tell, the fewest that are possible."""
        return -(-self.n_units // (self.units_per_packet or self.max_units_per_packet))

    @property
    def max_packet_bytes(self) -> int:
        """Bytes of the longest datagram."""
        return self.header_bytes + self.max_units_per_packet * self.unit_bytes + self.max_padding_bytes
