"""BoardLayout: packets of boards that all send to one port, described as data.

A detector with a frame number is described by a `PacketLayout`. The boards of this page have none: each counts its own
packets, and the time in the header tells which of them show the same moment.
"""

from dataclasses import dataclass, field

from std_daq.imaging.detectors.packet_layout import HeaderCheck, HeaderField


@dataclass(frozen=True, slots=True)
class BoardLayout:
    """Description of the packets of a detector's boards, each of which carries the whole part of one board.

    A *source* is a device whose boards make images together, such as a telescope module with its four quarter boards.

    Parameters
    ----------
    header_bytes, payload_bytes
        Bytes of a packet before its pixels, and of its pixels.
    n_boards
        Boards that make an image: with 1, each packet is an image of its own, whatever board it comes from.
    source, board
        Number of the source, and of the board in it.
    number
        Number of the packet, which the board raises by one; the mask tells after how many it begins again with 0.
    seconds, nanoseconds
        Time in the header. The mask of the seconds tells after how many they begin again with 0.
    coincidence_ns
        Largest difference between the times of the packets of an image.
    module_id, daq_rec
        Copied from the packet into the ModuleFrame.
    kind, kinds, other_kinds
        What tells the kind of a packet, the kinds that belong to this detector, and those of another one that the same
        boards send.
    checks
        Checks that a packet must pass before it is used.
    sources
        Sources that are received; none stands for all.
    """

    header_bytes: int
    payload_bytes: int
    n_boards: int
    source: HeaderField
    board: HeaderField
    number: HeaderField
    seconds: HeaderField
    nanoseconds: HeaderField
    coincidence_ns: int
    module_id: HeaderField
    daq_rec: HeaderField
    kind: HeaderField
    kinds: frozenset[int]
    other_kinds: frozenset[int] = frozenset()
    checks: tuple[HeaderCheck, ...] = ()
    sources: frozenset[int] = field(default_factory=frozenset)

    @property
    def packet_bytes(self) -> int:
        """Length of a datagram, in bytes."""
        return self.header_bytes + self.payload_bytes

    def time_ns(self, header: bytes) -> int:
        """Return the time in a header, in nanoseconds, modulo `turn_ns`."""
        return (self.seconds.read(header) * 1_000_000_000 + self.nanoseconds.read(header)) % self.turn_ns

    @property
    def turn_ns(self) -> int:
        """Time after which the seconds in the header begin again with 0, in nanoseconds."""
        return (self.seconds.mask + 1) * 1_000_000_000
