"""RunEvents: the events of one run that wait for boards, and which of them can be given out."""

from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import Generic, NamedTuple, TypeVar

from std_daq.tpc.electronics import Board

CLOCK_COBO = 10
"""The CoBo whose boards have the clock of another acquisition."""
MAX_TIMES = 4096
"""Number of the newest events of a run, and of the newest frames of a board, whose times are remembered."""

T = TypeVar("T")


class BuiltEvent(NamedTuple, Generic[T]):
    """The frames of one event.

    Attributes
    ----------
    id, epoch
        Event id, and the number of runs before this one.
    payloads
        What was fed for each board that is there.
    missing
        The boards that are missing, ascending; empty if the event is complete.
    n_boards
        Number of boards that make the event complete.
    timestamp, timestamp_other
        Event time of the boards, and of those of the CoBo with a clock of its own; 0 where there is none.
    first_ns
        When the first frame came.
    n_bytes
        Size of the payloads.
    """

    id: int
    epoch: int
    payloads: dict[Board, T]
    missing: tuple[Board, ...]
    n_boards: int
    timestamp: int
    timestamp_other: int
    first_ns: int
    n_bytes: int


class OpenEvent(Generic[T]):
    """An event that waits for boards; ``times`` and ``sizes`` are the event times and the payloads' bytes by board."""

    __slots__ = ("first_ns", "id", "is_kept", "payloads", "sizes", "times")

    def __init__(self, event_id: int, first_ns: int) -> None:
        self.id = event_id
        self.first_ns = first_ns
        self.payloads: dict[Board, T] = {}
        self.times: dict[Board, int] = {}
        self.sizes: dict[Board, int] = {}
        self.is_kept = False

    @property
    def n_bytes(self) -> int:
        """Size of the payloads."""
        return sum(self.sizes.values())


@dataclass(slots=True)
class RunEvents(Generic[T]):
    """The events of one run.

    Attributes
    ----------
    epoch
        Number of runs before this one.
    open
        Events that wait, by id, in the order of their first frames.
    order
        The same ids, as a heap.
    given_out
        The highest id that was given out; -1 at the beginning.
    boards
        The boards that have joined the run.
    is_abandoned
        Whether its only board has gone back to the run from which it came: it was no run, and no other board joins it.
    times
        For each clock, the event times of the newest events, by id.
    """

    epoch: int
    open: dict[int, OpenEvent[T]] = field(default_factory=dict)
    order: list[int] = field(default_factory=list)
    given_out: int = -1
    boards: set[Board] = field(default_factory=set)
    is_abandoned: bool = False
    times: tuple[dict[int, int], dict[int, int]] = field(default_factory=lambda: ({}, {}))

    def event(self, event_id: int, now_ns: int) -> OpenEvent[T]:
        """Return an event that waits; a new one if there is none of this id."""
        event = self.open.get(event_id)
        if event is None:
            event = self.open[event_id] = OpenEvent(event_id, now_ns)
            heappush(self.order, event_id)
        return event

    def time_of(self, event_id: int, clock: int) -> int | None:
        """Return the event time of the boards of a clock, if it is remembered."""
        return self.times[clock].get(event_id)

    def remember(self, event_id: int, clock: int, event_time: int) -> None:
        """Remember the event time of the first board of a clock."""
        remember(self.times[clock], event_id, event_time)

    def move_board(self, board: Board, first_id: int, to: "RunEvents[T]") -> None:
        """Move the frames of a board, from an event id on, into events of another run."""
        for event in [event for event in self.open.values() if event.id >= first_id and board in event.payloads]:
            moved = to.event(event.id, event.first_ns)
            moved.payloads[board], moved.times[board] = event.payloads.pop(board), event.times.pop(board)
            n_bytes = event.sizes.pop(board)
            moved.sizes[board] = n_bytes
            moved.is_kept = event.is_kept
            if not event.payloads:
                del self.open[event.id]
        self.order = list(self.open)
        heapify(self.order)
        to.boards.add(board)
        self.boards.discard(board)

    def take_lowest(self) -> OpenEvent[T]:
        """Remove and return the lowest event that waits."""
        event_id = heappop(self.order)
        self.given_out = max(self.given_out, event_id)
        return self.open.pop(event_id)


def clock_of(board: Board) -> int:
    """Return the clock of a board, an index into the times of a run: 1 for that of another acquisition, otherwise 0."""
    return int(board[0] == CLOCK_COBO)


def remember(times: dict[int, int], event_id: int, event_time: int) -> None:
    """Add an event time, and forget the oldest one if there are too many."""
    times[event_id] = event_time
    if len(times) > MAX_TIMES:
        del times[next(iter(times))]
