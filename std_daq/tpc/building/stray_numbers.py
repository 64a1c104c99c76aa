"""Stray numbers: what a board says that no other board confirms.

One frame with a wrong number must cost itself, and not the events of the other boards. A number that *leaps* ahead of
all other boards would give out all events before it when its time limit is over; one that *falls* would begin a run.
"""

from collections.abc import Iterator, Mapping
from typing import TypeVar

from std_daq.tpc.building.board_frame import BoardFrame
from std_daq.tpc.building.board_run import BoardRun
from std_daq.tpc.building.run_events import RunEvents
from std_daq.tpc.electronics import Board

T = TypeVar("T")

MAX_NEW_RUNS = 16
"""An exporter can begin so many runs within `NEW_RUNS_NS`; what would begin more is damaged."""
NEW_RUNS_NS = 1_000_000_000
OWNER_NS = 10_000_000_000
"""A board is taken from another exporter when the one that sent it before has been silent for so long."""


class RunLimit:
    """Counts the runs that an exporter begins, so that a board that counts nonsense does not begin runs without end."""

    def __init__(self) -> None:
        self._since_ns = 0
        self._n = 0

    def is_reached(self, now_ns: int) -> bool:
        """Return whether no further run may be begun now."""
        return self._n >= MAX_NEW_RUNS and now_ns - self._since_ns < NEW_RUNS_NS

    def count(self, now_ns: int) -> None:
        """Count a run that was begun."""
        if now_ns - self._since_ns >= NEW_RUNS_NS:
            self._since_ns, self._n = now_ns, 0
        self._n += 1


def others_of(states: Mapping[Board, BoardRun], state: BoardRun, epoch: int, since_ns: int) -> Iterator[BoardRun]:
    """Yield the other boards that are in a run, and have sent something since a time."""
    for other in states.values():
        if other is not state and other.epoch == epoch and not other.is_away and other.seen_ns >= since_ns:
            yield other


def is_ahead_of_others(
    states: Mapping[Board, BoardRun], state: BoardRun, piece: BoardFrame[T], time_limit_ns: int
) -> bool | None:
    """Return whether a number is above the next one of all other boards of its run; None if no other is alive."""
    since_ns = piece.arrived_ns - time_limit_ns
    highest = max((other.high for other in others_of(states, state, state.epoch, since_ns)), default=None)
    return None if highest is None else piece.event_id > highest + 1


def is_strayed(states: Mapping[Board, BoardRun], state: BoardRun) -> bool:
    """Return whether at least as many boards go on below the number to which a board has leapt as are ahead with it.

    A leap that another board has reached, not by a leap of its own, is none any more.
    """
    others = list(others_of(states, state, state.epoch, 0))
    if any(other.high >= state.leap and other.leap < 0 for other in others):
        state.leap = -1
        return False
    n_behind = sum(other.high < state.leap and other.seen_ns >= state.leap_ns for other in others)
    n_ahead = 1 + sum(other.high >= state.leap for other in others)
    return n_behind >= n_ahead


def awaits(
    states: Mapping[Board, BoardRun], state: BoardRun, run: RunEvents[T], piece: BoardFrame[T], highest_known: int
) -> bool:
    """Return whether a run that a board has left goes on without it, and its frame is the one that it awaits there."""
    if piece.event_id <= highest_known or piece.event_id <= run.given_out:
        return False
    event = run.open.get(piece.event_id)
    if event is not None and piece.board in event.payloads:
        return False
    highest = max((other.high for other in others_of(states, state, run.epoch, 0)), default=-1)
    return piece.event_id <= highest + 1
