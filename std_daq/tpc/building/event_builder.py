"""EventBuilder: brings together the frames that the boards of a chamber send for one event.

A board sends a frame with a number, the event id, and an event time. An event is *open* from its first frame until it
is given out: at once when all boards are there and no lower id of its run is open, otherwise when its time limit is
over, together with all lower ids.

*Runs.* A new run shows only in numbers that begin again. Each board counts its own runs (`BoardRun`), so that the
frames of two runs never meet, however far a board is behind the others. Events of different runs do not wait for each
other. Nothing is decided by a majority, as in `std_daq.sync`: a chamber may run with one board, boards may be behind by
a whole run, and there is no run that a board could share with others before its own numbers say so.

*Event times* show more than numbers, if boards share a clock: boards with the same id and the same time belong
together. They tell in which run a board is that has missed one, and that the run of a board that comes back is a new
one. Boards without a common clock are told apart by numbers, and by what is still open: one that had kept up belongs to
the run in which its frame is of use.

*Doubt.* Some frames are held until the next frame of their board decides, or for the time limit: see
`BoardRun.sequel`. A number that leaps ahead of all boards of its run is held as well, until another board has reached
it.

*Stray numbers.* A board whose numbers are not those of the others must not take their events from them: see
`std_daq.tpc.building.stray_numbers`.
"""

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from std_daq.tpc.building.board_frame import BoardFrame, FrameOutcome
from std_daq.tpc.building.board_run import BoardRun, Sequel
from std_daq.tpc.building.run_events import BuiltEvent, OpenEvent, RunEvents
from std_daq.tpc.building.stray_numbers import OWNER_NS, RunLimit, awaits, is_ahead_of_others, is_strayed, others_of
from std_daq.tpc.electronics import Board

CLOCK_COBO = 10
"""The CoBo whose boards have the clock of another acquisition."""
KEEP_AFTER_NS = 100_000_000
"""What waits longer is kept apart from the memory in which it came, so that this can be used again."""
_MAX_RUNS = 16

T = TypeVar("T")


# A name of the module is found in a tenth of the time that a member of an enumeration takes, and each frame needs some.
_USED, _SAME_RUN = FrameOutcome.USED, Sequel.SAME_RUN


class EventBuilder(Generic[T]):
    """Makes events of frames. The class is pure: it has no threads and reads no clock.

    Parameters
    ----------
    n_sources
        Number of exporters; they are numbered from 0.
    boards
        The boards that make an event complete; None: those that topology frames announce.
    time_limit_ns
        Longest time from the first frame of an event until it is given out.
    max_held_bytes
        Longest content of all open events; if there is more, the oldest events are given out before their time.
    first_epoch
        Number of the first run.
    keep
        Returns a payload in memory of its own, for events that wait long.

    Attributes
    ----------
    outcomes
        Number of frames by outcome, for each source; frames in doubt are not among them yet.
    n_complete, n_incomplete
        Events given out.
    n_crowded
        Events that were given out before their time, because too much was held.
    missing
        Number of events that were given out without each board.
    disputed
        Number of frames of a board that were refused, because another exporter sends this board; by board and exporter.
    """

    def __init__(
        self,
        n_sources: int,
        boards: Iterable[Board] | None,
        *,
        time_limit_ns: int,
        max_held_bytes: int,
        first_epoch: int = 0,
        keep: Callable[[T], T] = lambda payload: payload,
    ) -> None:
        self._is_announced = boards is None
        self._boards = frozenset(boards or ())
        self._time_limit_ns = time_limit_ns
        self._max_held_bytes = max_held_bytes
        self._keep = keep
        self._runs: dict[int, RunEvents[T]] = {first_epoch: RunEvents(first_epoch)}
        self._newest = first_epoch
        self._joined = [first_epoch] * n_sources  # the newest run when each source was connected
        self._limits = [RunLimit() for _ in range(n_sources)]
        self._connected: set[int] = set()
        self._announcers: dict[int, int] = {}
        self._announced: dict[int, frozenset[Board]] = {}
        self._states: dict[Board, BoardRun] = {}
        self._doubtful: dict[Board, BoardFrame[T]] = {}
        self._leapt: set[Board] = set()
        self._held_bytes = 0
        self.outcomes = [dict.fromkeys(FrameOutcome, 0) for _ in range(n_sources)]
        self.n_complete = self.n_incomplete = self.n_crowded = 0
        self.missing: dict[Board, int] = {}
        self.disputed: dict[tuple[Board, int], int] = {}

    @property
    def boards(self) -> frozenset[Board]:
        """The boards that make an event complete now."""
        return self._boards

    @property
    def n_open(self) -> int:
        """Number of events that wait."""
        return sum(len(run.open) for run in self._runs.values())

    @property
    def held_bytes(self) -> int:
        """Size of the payloads of the events that wait."""
        return self._held_bytes

    @property
    def n_doubtful(self) -> int:
        """Number of frames in doubt."""
        return len(self._doubtful)

    @property
    def newest_epoch(self) -> int:
        """Number of runs before the newest one."""
        return self._newest

    @property
    def states(self) -> dict[Board, BoardRun]:
        """Where each board is that has sent a frame."""
        return self._states

    def count(self, source: int, outcome: FrameOutcome, n: int = 1) -> None:
        """Count frames that are not for an event, such as damaged ones."""
        self.outcomes[source][outcome] += n

    def announce(self, source: int, cobo: int, boards: Iterable[Board]) -> list[BuiltEvent[T]]:
        """Take a topology frame, which names the boards of a CoBo; returns what is complete by it.

        The exporter that has announced a CoBo is asked while there is a connection to it; what another one says of this
        CoBo is unexpected.
        """
        announcer = self._announcers.setdefault(cobo, source)
        if announcer != source and announcer in self._connected:
            self.outcomes[source][FrameOutcome.UNEXPECTED] += 1
            return []
        self._announcers[cobo] = source
        self.outcomes[source][FrameOutcome.TOPOLOGY] += 1
        if not self._is_announced:
            return []
        of_cobo = frozenset(boards)
        if self._announced.get(cobo) == of_cobo:
            return []
        self._announced[cobo] = of_cobo
        self._boards = frozenset(board for board in self._boards if board[0] != cobo) | of_cobo
        return [event for run in list(self._runs.values()) for event in self._give_out_ready(run)]

    def connect(self, source: int) -> None:
        """Say that there is a connection to an exporter: what it sends from now on belongs to the newest run."""
        self._connected.add(source)
        # A run that one board has begun, and left again, is nobody's.
        self._joined[source] = max((state.epoch for state in self._states.values()), default=self._newest)

    def disconnect(self, source: int) -> None:
        """Say that the connection to an exporter has ended."""
        self._connected.discard(source)
        for state in self._states.values():
            if state.source == source:
                state.is_away = True

    def feed(self, piece: BoardFrame[T]) -> list[BuiltEvent[T]]:
        """Add a frame, and return the events that can be given out now."""
        board = piece.board
        if board not in self._boards:
            self.outcomes[piece.source][FrameOutcome.UNEXPECTED] += 1
            return []
        state = self._states.get(board)
        if state is not None and state.source != piece.source and self._is_disputed(state, piece):
            return []
        results: list[BuiltEvent[T]] = []
        if board in self._doubtful:
            results += self._settle(piece)
        if state is None or state.is_away:
            sequel, run = _SAME_RUN, self._join(state, piece)
            state = self._states[board]
        else:
            sequel = state.sequel(piece.event_id, piece.event_time)
            sequel, run = self._run_of(sequel, state, piece)
        if sequel is not _SAME_RUN:
            if sequel is Sequel.OPEN:
                self._doubtful[board] = piece
            else:
                is_copy = sequel is Sequel.DUPLICATE
                self.outcomes[piece.source][FrameOutcome.DUPLICATE if is_copy else FrameOutcome.DAMAGED] += 1
            return results
        state.seen_ns = piece.arrived_ns
        if piece.event_id - state.high > 1 and self._is_leap(state, piece):
            return results + self._doubt_leap(state, piece)
        if run is not None and piece.event_id <= run.given_out and self._was_passed_by_a_leap(run, piece):
            run = self._begin_run(state, piece)
        results += self._use(run, piece)
        if self._doubtful:
            results += self._release(state.epoch, state.high)
        return results

    def poll(self, now_ns: int) -> list[BuiltEvent[T]]:
        """Return the events whose time limit is over, and settle doubt that is as old.

        Call `feed` first for all frames that have already arrived; otherwise an event may be given out although its
        frames wait in a queue.
        """
        results: list[BuiltEvent[T]] = []
        for board, piece in list(self._doubtful.items()):
            if now_ns - piece.arrived_ns >= self._time_limit_ns:
                del self._doubtful[board]
                results += self._decide_alone(piece)
        for board in list(self._leapt):
            self._look_at_leap(board, now_ns)
        for epoch in sorted(self._runs):
            results += self._give_out_due(self._runs[epoch], now_ns)
        self._keep_old(now_ns)
        return results

    def flush(self) -> list[BuiltEvent[T]]:
        """Return all open events, complete or not."""
        results: list[BuiltEvent[T]] = []
        for board in list(self._doubtful):
            results += self._decide_alone(self._doubtful.pop(board))
        for epoch in sorted(self._runs):
            run = self._runs[epoch]
            while run.order:
                results.append(self._give_out_lowest(run))
        return results

    # -- runs

    def _run_of(self, sequel: Sequel, state: BoardRun, piece: BoardFrame[T]) -> tuple[Sequel, "RunEvents[T] | None"]:
        """Return the run of a frame, and SAME_RUN if it is to be used there."""
        if sequel is _SAME_RUN:
            if state.left >= 0 and (left := self._comes_back(state, piece)) is not None:
                return sequel, left
            run = self._runs.get(state.epoch)
            if state.epoch < self._newest:
                run = self._caught_up(state, piece) or self._awaiting(state, piece) or run
            return sequel, run
        if sequel is not Sequel.NEW_RUN:
            return sequel, None
        if (back := self._falls_back(state, piece)) is not None:
            return _SAME_RUN, back
        if self._limits[piece.source].is_reached(piece.arrived_ns):
            return sequel, None
        return _SAME_RUN, self._begin_run(state, piece)

    def _join(self, state: BoardRun | None, piece: BoardFrame[T]) -> "RunEvents[T] | None":
        """Return the run of a board that is new or has come back: the newest one when its exporter was connected.

        By now, the others may be in a later run. Then the board is behind.
        """
        epoch = self._joined[piece.source]
        if state is None:
            state = self._states[piece.board] = BoardRun(epoch, piece.source)
            return self._caught_up(state, piece) or self._fallen_from(state, piece) or self._runs.get(epoch)
        state.is_away = False
        sequel = state.sequel(piece.event_id, piece.event_time)
        # A new connection brings no frame twice, so a number from before begins a run, whatever its time is.
        has_restarted = sequel is Sequel.NEW_RUN or (sequel is Sequel.OPEN and piece.event_id < state.high)
        if epoch <= state.epoch:
            return self._begin_run(state, piece) if has_restarted else self._runs.get(state.epoch)
        state.begin(epoch)
        run = self._runs.get(epoch)
        if has_restarted and run is not None and self._fits(run, state, piece) < 0:
            return self._begin_run(state, piece)
        return run

    def _begin_run(self, state: BoardRun, piece: BoardFrame[T]) -> "RunEvents[T] | None":
        """Let a board begin its next run, which others may have begun before it.

        If no time tells which one, it is the oldest. But a board that had kept up is not behind by more than the time
        limit. If its event was given out already, the board was absent, and is in the oldest run that can still use it.
        """
        fitting = None
        is_of_use = state.kept_up_in < 0
        for epoch, run in self._runs.items():
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
            return self._runs.get(fitting)
        self._limits[piece.source].count(piece.arrived_ns)
        run = self._next_run()
        state.leave(run.epoch)
        return run

    def _is_left_over(self, run: RunEvents[T], piece: BoardFrame[T]) -> bool:
        """Return whether a run that has left a number behind is one of few boards, which have counted differently."""
        return piece.event_id <= run.given_out and 2 * len(run.boards) < len(self._states)

    def _caught_up(self, state: BoardRun, piece: BoardFrame[T]) -> "RunEvents[T] | None":
        """Return the later run in which a board is that has missed one, if the event time tells so."""
        own = self._runs.get(state.epoch)
        if own is not None and self._fits(own, state, piece) > 0:
            return None
        for epoch, run in self._runs.items():
            if epoch > state.epoch and self._fits(run, state, piece) > 0:
                state.begin(epoch)
                return run
        return None

    def _awaiting(self, state: BoardRun, piece: BoardFrame[T]) -> "RunEvents[T] | None":
        """Return the later run in which a board is that has missed one, if numbers and open events tell so.

        All others have left the run in which it was taken to be, and no event of that one waits for it. In a later run
        its event is open, or is the next one. A board that does not keep up is left where it is: it may be behind by a
        whole run.
        """
        own = self._runs.get(state.epoch)
        if state.kept_up_in < 0 or (own is not None and piece.event_id in own.open):
            return None
        others = [other for other in self._states.values() if other is not state]
        if any(other.epoch <= state.epoch and not other.is_away for other in others):
            return None
        for epoch, run in self._runs.items():
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
        known = run.time_of(piece.event_id, _clock(piece.board))
        if known is None:
            return 0
        if known == piece.event_time:
            event = run.open.get(piece.event_id)
            return 0 if event is None or piece.board in event.payloads else 1
        return -1 if state.is_in_step else 0

    def _next_run(self) -> RunEvents[T]:
        self._newest += 1
        in_use = {state.epoch for state in self._states.values()}
        for epoch, old in list(self._runs.items()):
            if epoch <= self._newest - _MAX_RUNS and not old.open and epoch not in in_use:
                del self._runs[epoch]
        run = self._runs[self._newest] = RunEvents(self._newest)
        return run

    # -- stray numbers

    def _is_disputed(self, state: BoardRun, piece: BoardFrame[T]) -> bool:
        """Return whether another exporter sends this board, and count the frame if so."""
        if state.is_away or piece.arrived_ns - state.seen_ns >= OWNER_NS:
            return False
        self.outcomes[piece.source][FrameOutcome.UNEXPECTED] += 1
        key = piece.board, piece.source
        self.disputed[key] = self.disputed.get(key, 0) + 1
        return True

    def _comes_back(self, state: BoardRun, piece: BoardFrame[T]) -> "RunEvents[T] | None":
        """Return the run that a board has left for one of its own, if its frame shows that it should not have.

        That is so if its first number in the new run was the only one that fell, or if its event time is that of an
        event of the other run.
        """
        run, own = self._runs.get(state.left), self._runs.get(state.epoch)
        if run is None or (own is not None and len(own.boards) > 1):
            state.left = -1
            return None
        if not awaits(self._states, state, run, piece, state.left_high):
            return None
        is_single = len(state.times) == 1 and piece.event_id != state.high + 1
        fits = self._fits(run, state, piece)
        if fits < 0 or (fits == 0 and not is_single):
            return None
        self._abandon(state)
        return run

    def _falls_back(self, state: BoardRun, piece: BoardFrame[T]) -> "RunEvents[T] | None":
        """Return the run of a board that has leapt ahead, and now goes on where the others are."""
        if state.leap_from < piece.event_id < state.leap and is_strayed(self._states, state):
            run = self._runs.get(state.epoch)
            if run is None or not awaits(self._states, state, run, piece, state.leap_from):
                return None
            self._separate(piece.board, state)
        elif state.left >= 0:
            run = self._runs.get(state.left)
            if run is None or not awaits(self._states, state, run, piece, state.left_high):
                return None
        else:
            return None
        self._abandon(state)
        return run

    def _fallen_from(self, state: BoardRun, piece: BoardFrame[T]) -> "RunEvents[T] | None":
        """Return where the boards are that began the run of a new board far ahead of it, and then fell."""
        run = self._runs.get(state.epoch)
        if run is None or not run.boards:
            return None
        before = [self._states[board] for board in run.boards]
        if not all(one.left == run.epoch and one.left_leap > piece.event_id for one in before):
            return None
        state.begin(before[0].epoch)
        return self._runs.get(state.epoch)

    def _abandon(self, state: BoardRun) -> None:
        """Let a board go back to the run that it has left."""
        own = self._runs.get(state.epoch)
        if own is not None and len(own.boards) == 1:
            own.is_abandoned = True
        state.come_back()

    def _is_leap(self, state: BoardRun, piece: BoardFrame[T]) -> bool:
        """Return whether to hold a frame that leaves numbers out; if no other board is alive, it is remembered."""
        is_ahead = is_ahead_of_others(self._states, state, piece, self._time_limit_ns)
        if is_ahead is None and state.left < 0:
            self._remember_leap(state, piece)
        return bool(is_ahead)

    def _doubt_leap(self, state: BoardRun, piece: BoardFrame[T]) -> list[BuiltEvent[T]]:
        """Hold a frame that leaps, unless another board has leapt to the same number."""
        self._doubtful[piece.board] = piece
        for board, other in self._doubtful.items():
            if board != piece.board and other.event_id == piece.event_id and self._states[board].epoch == state.epoch:
                return self._release(state.epoch, piece.event_id)
        return []

    def _release(self, epoch: int, reached: int) -> list[BuiltEvent[T]]:
        """Use the frames that were held because they leapt, and whose number another board has reached."""
        results: list[BuiltEvent[T]] = []
        for board, piece in list(self._doubtful.items()):
            state = self._states[board]
            if state.epoch == epoch and state.high < piece.event_id <= reached + 1:
                del self._doubtful[board]
                results += self._use(self._runs.get(epoch), piece)
        return results

    def _remember_leap(self, state: BoardRun, piece: BoardFrame[T]) -> None:
        """Remember that a number is used which no other board has reached."""
        if state.leap < 0:
            state.leap, state.leap_from, state.leap_ns = piece.event_id, state.high, piece.arrived_ns
            self._leapt.add(piece.board)

    def _look_at_leap(self, board: Board, now_ns: int) -> None:
        """Let a board have a run of its own if others go on below the number to which it has leapt.

        This is so when the event of that number is due: otherwise it would be given out with all events before it.
        """
        state = self._states[board]
        is_strayed_now = state.leap >= 0 and is_strayed(self._states, state)
        if state.leap < 0:
            self._leapt.discard(board)
        elif is_strayed_now and now_ns - state.leap_ns >= self._time_limit_ns:
            self._separate(board, state)

    def _separate(self, board: Board, state: BoardRun) -> None:
        run = self._runs.get(state.epoch)
        new = self._next_run()
        if run is not None:
            run.move_board(board, state.leap, new)
        state.separate(new.epoch)
        self._leapt.discard(board)

    def _was_passed_by_a_leap(self, run: RunEvents[T], piece: BoardFrame[T]) -> bool:
        """Return whether a number is late only because boards leapt ahead which nobody has followed."""
        ahead = [self._states[board] for board in run.boards]
        ahead = [state for state in ahead if state.epoch == run.epoch and state.high >= run.given_out]
        return bool(ahead) and all(state.leap_from < piece.event_id < state.leap for state in ahead)

    # -- doubt

    def _settle(self, piece: BoardFrame[T]) -> list[BuiltEvent[T]]:
        """Decide on the doubtful frame of a board by its next one."""
        state = self._states[piece.board]
        doubtful = self._doubtful.pop(piece.board)
        if state.is_away:
            return self._decide_alone(doubtful)
        if doubtful.event_id > state.high:
            if piece.event_id > doubtful.event_id:
                if is_ahead_of_others(self._states, state, doubtful, self._time_limit_ns):
                    self._remember_leap(state, doubtful)
                return self._use(self._runs.get(state.epoch), doubtful)
            self.outcomes[doubtful.source][FrameOutcome.DAMAGED] += 1
            return []
        if doubtful.event_id < piece.event_id <= state.high:
            return self._use(self._begin_run(state, doubtful), doubtful)
        self.outcomes[doubtful.source][FrameOutcome.DUPLICATE] += 1
        return []

    def _decide_alone(self, doubtful: BoardFrame[T]) -> list[BuiltEvent[T]]:
        """Decide on a doubtful frame after which none came: a number as before is a duplicate, a high one is used.

        A high one is damaged if others go on below it.
        """
        state = self._states[doubtful.board]
        if doubtful.event_id > state.high:
            if not state.is_away and any(
                other.seen_ns > doubtful.arrived_ns and other.high < doubtful.event_id
                for other in others_of(self._states, state, state.epoch, 0)
            ):
                self.outcomes[doubtful.source][FrameOutcome.DAMAGED] += 1
                return []
            return self._use(self._runs.get(state.epoch), doubtful)
        self.outcomes[doubtful.source][FrameOutcome.DUPLICATE] += 1
        return []

    # -- events

    def _use(self, run: RunEvents[T] | None, piece: BoardFrame[T]) -> list[BuiltEvent[T]]:
        """Add a frame to its event, and return what can be given out by it."""
        board, event_id = piece.board, piece.event_id
        state = self._states[board]
        state.source = piece.source
        state.advance(event_id, piece.event_time)
        counts = self.outcomes[piece.source]
        if run is not None:
            run.boards.add(board)
        if run is None or event_id <= run.given_out:
            counts[FrameOutcome.LATE] += 1
            if state.kept_up_in == state.epoch:
                state.kept_up_in = -1
            return []
        event = run.event(event_id, piece.arrived_ns)
        if board in event.payloads:
            counts[FrameOutcome.DUPLICATE] += 1
            return []
        clock = _clock(board)
        known = run.time_of(event_id, clock)
        if known is None:
            run.remember(event_id, clock, piece.event_time)
        else:
            state.is_in_step = known == piece.event_time
            if len(event.payloads) == 1 and state.is_in_step:  # then the first one is in step as well
                first = next(iter(event.payloads))
                self._states[first].is_in_step |= _clock(first) == clock
        state.n_used += 1
        state.kept_up_in = state.epoch
        event.payloads[board] = piece.payload
        event.times[board] = piece.event_time
        event.sizes[board] = piece.n_bytes
        self._held_bytes += piece.n_bytes
        counts[_USED] += 1
        if len(event.payloads) >= len(self._boards):
            return self._give_out_ready(run)
        return self._give_out_crowded() if self._held_bytes > self._max_held_bytes else []

    def _is_complete(self, event: OpenEvent[T]) -> bool:
        return len(event.payloads) >= len(self._boards) and self._boards <= event.payloads.keys()

    def _give_out_ready(self, run: RunEvents[T]) -> list[BuiltEvent[T]]:
        results = []
        while run.order and self._is_complete(run.open[run.order[0]]):
            results.append(self._give_out_lowest(run))
        return results

    def _give_out_due(self, run: RunEvents[T], now_ns: int) -> list[BuiltEvent[T]]:
        due = -1
        for event in run.open.values():
            if now_ns - event.first_ns < self._time_limit_ns:
                break
            due = max(due, event.id)
        results = []
        while run.order and run.order[0] <= due:
            results.append(self._give_out_lowest(run))
        return [*results, *self._give_out_ready(run)]

    def _give_out_crowded(self) -> list[BuiltEvent[T]]:
        results: list[BuiltEvent[T]] = []
        while self._held_bytes > self._max_held_bytes:
            waiting = [run for run in self._runs.values() if run.open]
            run = min(waiting, key=lambda run: next(iter(run.open.values())).first_ns)
            self.n_crowded += 1
            results.append(self._give_out_lowest(run))
            results += self._give_out_ready(run)
        return results

    def _give_out_lowest(self, run: RunEvents[T]) -> BuiltEvent[T]:
        event = run.take_lowest()
        n_bytes = event.n_bytes
        self._held_bytes -= n_bytes
        missing = tuple(sorted(self._boards - event.payloads.keys()))
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
            n_boards=len(self._boards),
            timestamp=event.times[min(main)] if main else 0,
            timestamp_other=event.times[min(other)] if other else 0,
            first_ns=event.first_ns,
            n_bytes=n_bytes,
        )

    def _keep_old(self, now_ns: int) -> None:
        for run in self._runs.values():
            for event in run.open.values():
                if now_ns - event.first_ns < KEEP_AFTER_NS:
                    break
                if not event.is_kept:
                    event.payloads = {board: self._keep(payload) for board, payload in event.payloads.items()}
                    event.is_kept = True


def _clock(board: Board) -> int:
    return int(board[0] == CLOCK_COBO)
