"""RunChoice: to which run a frame belongs, by its number, its event time and what the other boards send."""

from typing import Generic, TypeVar

from std_daq.tpc.building.board_frame import BoardFrame
from std_daq.tpc.building.board_run import BoardRun, Sequel
from std_daq.tpc.building.run_events import RunEvents, clock_of
from std_daq.tpc.building.stray_numbers import RunLimit, awaits, is_ahead_of_others, is_strayed
from std_daq.tpc.electronics import Board

_MAX_RUNS = 16
_SAME_RUN = Sequel.SAME_RUN

T = TypeVar("T")


class RunChoice(Generic[T]):
    """Knows the runs, and where each board is in its own.

    Parameters
    ----------
    n_sources, time_limit_ns, first_epoch
        See `EventBuilder`.

    Attributes
    ----------
    runs
        The runs by their numbers, ascending.
    newest
        Number of the newest run.
    states
        Where each board is that has sent a frame.
    """

    def __init__(self, n_sources: int, *, time_limit_ns: int, first_epoch: int) -> None:
        self._time_limit_ns = time_limit_ns
        self.runs: dict[int, RunEvents[T]] = {first_epoch: RunEvents(first_epoch)}
        self.newest = first_epoch
        self.states: dict[Board, BoardRun] = {}
        self._joined = [first_epoch] * n_sources  # the newest run when each source was connected
        self._limits = [RunLimit() for _ in range(n_sources)]
        self._leapt: set[Board] = set()

    def connect(self, source: int) -> None:
        """Say that there is a connection to an exporter: what it sends from now on belongs to the newest run."""
        # A run that one board has begun, and left again, is nobody's.
        self._joined[source] = max((state.epoch for state in self.states.values()), default=self.newest)

    def disconnect(self, source: int) -> None:
        """Say that the connection to an exporter has ended."""
        for state in self.states.values():
            if state.source == source:
                state.is_away = True

    def run_of(self, sequel: Sequel, state: BoardRun, piece: BoardFrame[T]) -> tuple[Sequel, RunEvents[T] | None]:
        """Return the run of a frame, and SAME_RUN if it is to be used there."""
        if sequel is _SAME_RUN:
            if state.left >= 0 and (left := self._comes_back(state, piece)) is not None:
                return sequel, left
            run = self.runs.get(state.epoch)
            if state.epoch < self.newest:
                run = self._caught_up(state, piece) or self._awaiting(state, piece) or run
            return sequel, run
        if sequel is not Sequel.NEW_RUN:
            return sequel, None
        if (back := self._falls_back(state, piece)) is not None:
            return _SAME_RUN, back
        if self._limits[piece.source].is_reached(piece.arrived_ns):
            return sequel, None
        return _SAME_RUN, self.begin_run(state, piece)

    def join(self, state: BoardRun | None, piece: BoardFrame[T]) -> RunEvents[T] | None:
        """Return the run of a board that is new or has come back: the newest one when its exporter was connected.

        By now, the others may be in a later run. Then the board is behind.
        """
        epoch = self._joined[piece.source]
        if state is None:
            state = self.states[piece.board] = BoardRun(epoch, piece.source)
            return self._caught_up(state, piece) or self._fallen_from(state, piece) or self.runs.get(epoch)
        state.is_away = False
        sequel = state.sequel(piece.event_id, piece.event_time)
        # A new connection brings no frame twice, so a number from before begins a run, whatever its time is.
        has_restarted = sequel is Sequel.NEW_RUN or (sequel is Sequel.OPEN and piece.event_id < state.high)
        if epoch <= state.epoch:
            return self.begin_run(state, piece) if has_restarted else self.runs.get(state.epoch)
        state.begin(epoch)
        run = self.runs.get(epoch)
        if has_restarted and run is not None and self._fits(run, state, piece) < 0:
            return self.begin_run(state, piece)
        return run

    def begin_run(self, state: BoardRun, piece: BoardFrame[T]) -> RunEvents[T] | None:
        """Let a board begin its next run, which others may have begun before it.

        If no time tells which one, it is the oldest. But a board that had kept up is not behind by more than the time
        limit. If its event was given out already, the board was absent, and is in the oldest run that can still use it.
        """
        fitting = None
        is_of_use = state.kept_up_in < 0
        for epoch, run in self.runs.items():
            if epoch <= state.epoch or self._is_left_over(run, piece):
                continue
            fits = self._fits(run, state, piece)
            if fits > 0:
                fitting = epoch
                break
            if fits == 0 and (fitting is None or not is_of_use):
                fitting = epoch
                is_of_use |= piece.event_id > run.given_out
        if fitting is not None:
            state.begin(fitting)
            return self.runs.get(fitting)
        self._limits[piece.source].count(piece.arrived_ns)
        run = self._next_run()
        state.leave(run.epoch)
        return run

    def is_leap(self, state: BoardRun, piece: BoardFrame[T]) -> bool:
        """Return whether to hold a frame that leaves numbers out; if no other board is alive, it is remembered."""
        is_ahead = is_ahead_of_others(self.states, state, piece, self._time_limit_ns)
        if is_ahead is None and state.left < 0:
            self.remember_leap(state, piece)
        return bool(is_ahead)

    def remember_leap(self, state: BoardRun, piece: BoardFrame[T]) -> None:
        """Remember that a number is used which no other board has reached."""
        if state.leap < 0:
            state.leap, state.leap_from, state.leap_ns = piece.event_id, state.high, piece.arrived_ns
            self._leapt.add(piece.board)

    def look_at_leaps(self, now_ns: int) -> None:
        """Let a board have a run of its own if others go on below the number to which it has leapt.

        This is so when the event of that number is due: otherwise it would be given out with all events before it.
        """
        for board in list(self._leapt):
            state = self.states[board]
            is_strayed_now = state.leap >= 0 and is_strayed(self.states, state)
            if state.leap < 0:
                self._leapt.discard(board)
            elif is_strayed_now and now_ns - state.leap_ns >= self._time_limit_ns:
                self._separate(board, state)

    def was_passed_by_a_leap(self, run: RunEvents[T], piece: BoardFrame[T]) -> bool:
        """Return whether a number is late only because boards leapt ahead which nobody has followed."""
        ahead = [self.states[board] for board in run.boards]
        ahead = [state for state in ahead if state.epoch == run.epoch and state.high >= run.given_out]
        return bool(ahead) and all(state.leap_from < piece.event_id < state.leap for state in ahead)

    # -- later runs

    def _is_left_over(self, run: RunEvents[T], piece: BoardFrame[T]) -> bool:
        """Return whether a run that has left a number behind is one of few boards, which have counted differently."""
        return piece.event_id <= run.given_out and 2 * len(run.boards) < len(self.states)

    def _caught_up(self, state: BoardRun, piece: BoardFrame[T]) -> RunEvents[T] | None:
        """Return the later run in which a board is that has missed one, if the event time tells so."""
        own = self.runs.get(state.epoch)
        if own is not None and self._fits(own, state, piece) > 0:
            return None
        for epoch, run in self.runs.items():
            if epoch > state.epoch and self._fits(run, state, piece) > 0:
                state.begin(epoch)
                return run
        return None

    def _awaiting(self, state: BoardRun, piece: BoardFrame[T]) -> RunEvents[T] | None:
        """Return the later run in which a board is that has missed one, if numbers and open events tell so.

        All others have left the run in which it was taken to be, and no event of that one waits for it. In a later run
        its event is open, or is the next one. A board that does not keep up is left where it is: it may be behind by a
        whole run.
        """
        own = self.runs.get(state.epoch)
        if state.kept_up_in < 0 or (own is not None and piece.event_id in own.open):
            return None
        others = [other for other in self.states.values() if other is not state]
        if any(other.epoch <= state.epoch and not other.is_away for other in others):
            return None
        for epoch, run in self.runs.items():
            highest = max((other.high for other in others if other.epoch == epoch), default=-1)
            if epoch <= state.epoch or not run.given_out < piece.event_id <= highest + 1:
                continue
            event = run.open.get(piece.event_id)
            if (event is None or piece.board not in event.payloads) and self._fits(run, state, piece) >= 0:
                state.begin(epoch)
                return run
        return None

    def _fits(self, run: RunEvents[T], state: BoardRun, piece: BoardFrame[T]) -> int:
        """Return 1 if the time of a frame is that of its event in a run, -1 if it is another one, 0 if nobody knows."""
        if run.is_abandoned:
            return -1
        known = run.time_of(piece.event_id, clock_of(piece.board))
        if known is None:
            return 0
        if known == piece.event_time:
            event = run.open.get(piece.event_id)
            return 0 if event is None or piece.board in event.payloads else 1
        return -1 if state.is_in_step else 0

    def _next_run(self) -> RunEvents[T]:
        self.newest += 1
        in_use = {state.epoch for state in self.states.values()}
        for epoch, old in list(self.runs.items()):
            if epoch <= self.newest - _MAX_RUNS and not old.open and epoch not in in_use:
                del self.runs[epoch]
        run = self.runs[self.newest] = RunEvents(self.newest)
        return run

    # -- runs that a board should not have begun

    def _comes_back(self, state: BoardRun, piece: BoardFrame[T]) -> RunEvents[T] | None:
        """Return the run that a board has left for one of its own, if its frame shows that it should not have.

        That is so if its first number in the new run was the only one that fell, or if its event time is that of an
        event of the other run.
        """
        run, own = self.runs.get(state.left), self.runs.get(state.epoch)
        if run is None or (own is not None and len(own.boards) > 1):
            state.left = -1
            return None
        if not awaits(self.states, state, run, piece, state.left_high):
            return None
        is_single = len(state.times) == 1 and piece.event_id != state.high + 1
        fits = self._fits(run, state, piece)
        if fits < 0 or (fits == 0 and not is_single):
            return None
        self._abandon(state)
        return run

    def _falls_back(self, state: BoardRun, piece: BoardFrame[T]) -> RunEvents[T] | None:
        """Return the run of a board that has leapt ahead, and now goes on where the others are."""
        if state.leap_from < piece.event_id < state.leap and is_strayed(self.states, state):
            run = self.runs.get(state.epoch)
            if run is None or not awaits(self.states, state, run, piece, state.leap_from):
                return None
            self._separate(piece.board, state)
        elif state.left >= 0:
            run = self.runs.get(state.left)
            if run is None or not awaits(self.states, state, run, piece, state.left_high):
                return None
        else:
            return None
        self._abandon(state)
        return run

    def _fallen_from(self, state: BoardRun, piece: BoardFrame[T]) -> RunEvents[T] | None:
        """Return where the boards are that began the run of a new board far ahead of it, and then fell."""
        run = self.runs.get(state.epoch)
        if run is None or not run.boards:
            return None
        before = [self.states[board] for board in run.boards]
        if not all(one.left == run.epoch and one.left_leap > piece.event_id for one in before):
            return None
        state.begin(before[0].epoch)
        return self.runs.get(state.epoch)

    def _abandon(self, state: BoardRun) -> None:
        """Let a board go back to the run that it has left."""
        own = self.runs.get(state.epoch)
        if own is not None and len(own.boards) == 1:
            own.is_abandoned = True
        state.come_back()

    def _separate(self, board: Board, state: BoardRun) -> None:
        run = self.runs.get(state.epoch)
        new = self._next_run()
        if run is not None:
            run.move_board(board, state.leap, new)
        state.separate(new.epoch)
        self._leapt.discard(board)
