"""WaitingEvents: the events of all runs that wait for boards, and when each is given out."""

from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from std_daq.tpc.building.run_events import CLOCK_COBO, BuiltEvent, OpenEvent, RunEvents
from std_daq.tpc.electronics import Board

KEEP_AFTER_NS = 100_000_000
"""What waits longer is kept apart from the memory in which it came, so that this can be used again."""

T = TypeVar("T")


class WaitingEvents(Generic[T]):
    """Gives out events: at once when complete, later when their time is over or too much is held.

    Parameters
    ----------
    runs
        The runs by their numbers; they may change from call to call.
    time_limit_ns, max_held_bytes, keep
        See `EventBuilder`.

    Attributes
    ----------
    boards
        The boards that make an event complete.
    held_bytes
        Size of the payloads of all events; whoever adds a payload adds its size.
    n_complete, n_incomplete, n_crowded, missing
        See `EventBuilder`.
    """

    def __init__(
        self,
        runs: Mapping[int, RunEvents[T]],
        boards: frozenset[Board],
        *,
        time_limit_ns: int,
        max_held_bytes: int,
        keep: Callable[[T], T],
    ) -> None:
        self._runs = runs
        self.boards = boards
        self._time_limit_ns = time_limit_ns
        self.max_held_bytes = max_held_bytes
        self._keep = keep
        self.held_bytes = 0
        self.n_complete = self.n_incomplete = self.n_crowded = 0
        self.missing: dict[Board, int] = {}

    def _is_complete(self, event: OpenEvent[T]) -> bool:
        return len(event.payloads) >= len(self.boards) and self.boards <= event.payloads.keys()

    def give_out_ready(self, run: RunEvents[T]) -> list[BuiltEvent[T]]:
        """Return the events of a run that are complete, and before which none waits."""
        results = []
        while run.order and self._is_complete(run.open[run.order[0]]):
            results.append(self.give_out_lowest(run))
        return results

    def give_out_due(self, run: RunEvents[T], now_ns: int) -> list[BuiltEvent[T]]:
        """Return the events of a run whose time limit is over, with all before them, and what is ready after these."""
        due = -1
        for event in run.open.values():
            if now_ns - event.first_ns < self._time_limit_ns:
                break
            due = max(due, event.id)
        results = []
        while run.order and run.order[0] <= due:
            results.append(self.give_out_lowest(run))
        return [*results, *self.give_out_ready(run)]

    def give_out_crowded(self) -> list[BuiltEvent[T]]:
        """Return the oldest events of all runs until not too much is held."""
        results: list[BuiltEvent[T]] = []
        while self.held_bytes > self.max_held_bytes:
            waiting = [run for run in self._runs.values() if run.open]
            run = min(waiting, key=lambda run: next(iter(run.open.values())).first_ns)
            self.n_crowded += 1
            results.append(self.give_out_lowest(run))
            results += self.give_out_ready(run)
        return results

    def give_out_lowest(self, run: RunEvents[T]) -> BuiltEvent[T]:
        """Return the lowest event of a run, complete or not."""
        event = run.take_lowest()
        n_bytes = event.n_bytes
        self.held_bytes -= n_bytes
        missing = tuple(sorted(self.boards - event.payloads.keys()))
        if missing:
            self.n_incomplete += 1
            for board in missing:
                self.missing[board] = self.missing.get(board, 0) + 1
        else:
            self.n_complete += 1
        main = [board for board in event.times if board[0] != CLOCK_COBO]
        other = [board for board in event.times if board[0] == CLOCK_COBO]
        return BuiltEvent(
            id=event.id,
            epoch=run.epoch,
            payloads=event.payloads,
            missing=missing,
            n_boards=len(self.boards),
            timestamp=event.times[min(main)] if main else 0,
            timestamp_other=event.times[min(other)] if other else 0,
            first_ns=event.first_ns,
            n_bytes=n_bytes,
        )

    def keep_old(self, now_ns: int) -> None:
        """Keep the payloads of events that wait long in memory of their own."""
        for run in self._runs.values():
            for event in run.open.values():
                if now_ns - event.first_ns < KEEP_AFTER_NS:
                    break
                if not event.is_kept:
                    event.payloads = {board: self._keep(payload) for board, payload in event.payloads.items()}
                    event.is_kept = True
