"""BoardGrouper: brings together the packets of boards that show the same moment. Pure."""

from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from std_daq.imaging.detectors.board_layout import BoardLayout
from std_udp_recv.board_numbers import BoardNumbers, NumberOrder
from std_udp_recv.board_packets import BoardPacket

MAX_SOURCES = 1024
"""Packets of further sources are refused while all of these send: they are no telescope that grows, but noise."""
SILENT_NS = 2_000_000_000
"""A source that has been silent for so long gives its place to another one when there is none left."""


class BoardEvent(NamedTuple):
    """The packets of one image.

    Attributes
    ----------
    packets
        The packet of each board; None where it is missing.
    n_lost_before
        Images of the same source, directly before this one, of which all packets are lost.
    """

    packets: tuple[BoardPacket | None, ...]
    n_lost_before: int


@dataclass(slots=True)
class BoardCounters:
    """What came from one board.

    Attributes
    ----------
    received, lost, late, restarts
        Packets used; numbers that were left out; packets that came after all; times that the board has restarted.
    unsynchronised
        Packets used whose nanoseconds are no fraction of a second.
    """

    received: int = 0
    lost: int = 0
    late: int = 0
    restarts: int = 0
    unsynchronised: int = 0


@dataclass(slots=True)
class _OpenEvent:
    time_ns: int
    seen_ns: int
    packets: dict[int, BoardPacket] = field(default_factory=dict)


@dataclass(slots=True)
class _Source:
    """A source: its open events, the oldest first, and which number each board had in which of its images."""

    seen_ns: int
    events: deque[_OpenEvent] = field(default_factory=deque)
    n_images: int = 0
    last: dict[int, tuple[int, int]] = field(default_factory=dict)


class BoardGrouper:
    """Takes packets, and returns the images whose packets have all come, or have been waited for.

    Packets belong to one image if their times are close together. The images of a source come out in the order in which
    they began. An image that lacks packets ends when `window` newer ones of its source have begun, or after a time
    without packets.

    Parameters
    ----------
    layout
        Layout of the packets. If an image has one board, each packet is an image.
    boards
        Boards that are waited for; packets of others are refused.
    window
        Largest number of open images of a source.
    idle_ns
        An image ends when this time has passed since its last packet.

    Attributes
    ----------
    refused
        Packets that are not used, by the reason.
    counters
        What came, by source and board.
    n_complete, n_incomplete
        Images that have ended with all packets, and without some.
    """

    def __init__(self, layout: BoardLayout, boards: frozenset[int], *, window: int, idle_ns: int) -> None:
        self._layout = layout
        self._boards = boards
        self._window = window
        self._idle_ns = idle_ns
        self._numbers: dict[tuple[int, int], BoardNumbers] = {}
        self._sources: dict[int, _Source] = {}
        self._modulus = layout.number.mask + 1
        self.refused: Counter[str] = Counter()
        self.counters: defaultdict[tuple[int, int], BoardCounters] = defaultdict(BoardCounters)
        self.n_complete = 0
        self.n_incomplete = 0
        self._n_lost_of_gone = 0

    @property
    def n_open(self) -> int:
        """Number of images that wait for packets."""
        return sum(len(source.events) for source in self._sources.values())

    @property
    def n_lost(self) -> int:
        """Packets that all boards have left out, also those that came late."""
        return self._n_lost_of_gone + sum(counters.lost for counters in list(self.counters.values()))

    def feed(self, packet: BoardPacket, now_ns: int) -> Iterator[BoardEvent]:
        """Take a packet, at a monotonic time, and yield the images that are ready."""
        source = self._sources.get(packet.source)
        if self._layout.n_boards > 1 and packet.board not in self._boards:
            self.refused["foreign_module"] += 1
            return
        if source is None:
            if len(self._sources) == MAX_SOURCES:
                yield from self._forget_silent(now_ns)
            if len(self._sources) == MAX_SOURCES:
                self.refused["foreign_module"] += 1
                return
            source = self._sources[packet.source] = _Source(now_ns)
        source.seen_ns = now_ns
        key = packet.source, packet.board
        if key not in self._numbers:
            self._numbers[key] = BoardNumbers(self._modulus)
        order, n_lost = self._numbers[key].feed(packet.number, packet.time_ns, packet.arrival_ns)
        if order is NumberOrder.DUPLICATE:
            self.refused["duplicate"] += 1
            return
        if self._layout.n_boards == 1:
            self._count(packet, order, n_lost)
            self.n_complete += 1
            yield BoardEvent((packet,), n_lost)
            return
        if order is NumberOrder.RESTARTED:
            source.last.pop(packet.board, None)
        event = self._event_of(source, packet, order)
        if event is None:
            self.refused["late"] += 1
            return
        self._count(packet, order, n_lost)
        event.packets[packet.board] = packet
        event.seen_ns = now_ns
        yield from self._ended(source, now_ns)

    def poll(self, now_ns: int) -> Iterator[BoardEvent]:
        """Yield the images that have waited for too long."""
        for source in self._sources.values():
            yield from self._ended(source, now_ns)

    def flush(self) -> Iterator[BoardEvent]:
        """Yield all images that are still open."""
        for source in self._sources.values():
            while source.events:
                yield self._end_first(source)

    def begin_anew(self, source: int, board: int) -> None:
        """Forget the packet numbers of a board, because its packets come from another computer now."""
        self._numbers.pop((source, board), None)
        if source in self._sources:
            self._sources[source].last.pop(board, None)

    def _forget_silent(self, now_ns: int) -> Iterator[BoardEvent]:
        """Forget the source that has been silent for longest, if it is silent; yields what it has open."""
        number, source = min(self._sources.items(), key=lambda one: one[1].seen_ns)
        if now_ns - source.seen_ns < SILENT_NS:
            return
        while source.events:
            yield self._end_first(source)
        del self._sources[number]
        for key in [key for key in self._numbers if key[0] == number]:
            del self._numbers[key]
            self._n_lost_of_gone += self.counters.pop(key, BoardCounters()).lost

    def _count(self, packet: BoardPacket, order: NumberOrder, n_lost: int) -> None:
        counters = self.counters[packet.source, packet.board]
        counters.received += 1
        counters.lost += n_lost
        counters.late += order is NumberOrder.LATE
        counters.restarts += order is NumberOrder.RESTARTED
        counters.unsynchronised += packet.clock % 2**32 >= 1_000_000_000

    def _event_of(self, source: _Source, packet: BoardPacket, order: NumberOrder) -> _OpenEvent | None:
        """Return the open image of a packet, which may be a new one; None for a late packet whose image has ended."""
        for event in reversed(source.events):
            apart_ns = abs(event.time_ns - packet.time_ns)
            apart_ns = min(apart_ns, self._layout.turn_ns - apart_ns)
            if apart_ns <= self._layout.coincidence_ns and packet.board not in event.packets:
                return event
        if order is NumberOrder.LATE:
            return None
        event = _OpenEvent(packet.time_ns, 0)
        source.events.append(event)
        return event

    def _ended(self, source: _Source, now_ns: int) -> Iterator[BoardEvent]:
        while source.events:
            first = source.events[0]
            is_complete = len(first.packets) == len(self._boards)
            is_over = len(source.events) > self._window or now_ns - first.seen_ns >= self._idle_ns
            if not (is_complete or is_over):
                return
            yield self._end_first(source)

    def _end_first(self, source: _Source) -> BoardEvent:
        packets = source.events.popleft().packets
        is_complete = len(packets) == len(self._boards)
        self.n_complete += is_complete
        self.n_incomplete += not is_complete
        n_lost = self._count_lost_images(source, packets)
        return BoardEvent(tuple(packets.get(board) for board in range(self._layout.n_boards)), n_lost)

    def _count_lost_images(self, source: _Source, packets: dict[int, BoardPacket]) -> int:
        """Return how many images were lost as a whole before this one.

        A board tells by its numbers how many images there were since its last packet. If boards differ, the lowest
        number counts, because a single board that jumps does not make images of the others.
        """
        source.n_images += 1
        following = [
            at + ahead
            for board, packet in packets.items()
            if board in source.last
            for number, at in (source.last[board],)
            if (ahead := (packet.number - number) % self._modulus) < self._modulus // 2
        ]
        n_lost = max(0, min(following, default=0) - source.n_images)
        source.n_images += n_lost
        for board, packet in packets.items():
            source.last[board] = packet.number, source.n_images
        return n_lost
