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

A `RunChoice` chooses the run of a frame, `WaitingEvents` give out. Here frames are counted, and doubt is held.
"""

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from std_daq.tpc.building.board_frame import BoardFrame, FrameOutcome
from std_daq.tpc.building.board_run import BoardRun, Sequel
from std_daq.tpc.building.run_choice import RunChoice
from std_daq.tpc.building.run_events import BuiltEvent, RunEvents, clock_of
from std_daq.tpc.building.stray_numbers import OWNER_NS, is_ahead_of_others, others_of
from std_daq.tpc.building.waiting_events import WaitingEvents
from std_daq.tpc.electronics import Board

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
        self._time_limit_ns = time_limit_ns
        self._choice: RunChoice[T] = RunChoice(n_sources, time_limit_ns=time_limit_ns, first_epoch=first_epoch)
        self._runs, self._states = self._choice.runs, self._choice.states
        self._waiting = WaitingEvents(
            self._runs,
            frozenset(boards or ()),
            time_limit_ns=time_limit_ns,
            max_held_bytes=max_held_bytes,
            keep=keep,
        )
        self._connected: set[int] = set()
        self._announcers: dict[int, int] = {}
        self._announced: dict[int, frozenset[Board]] = {}
        self._doubtful: dict[Board, BoardFrame[T]] = {}
        self.outcomes = [dict.fromkeys(FrameOutcome, 0) for _ in range(n_sources)]
        self.disputed: dict[tuple[Board, int], int] = {}

    @property
    def boards(self) -> frozenset[Board]:
        """The boards that make an event complete now."""
        return self._waiting.boards

    @property
    def n_complete(self) -> int:
        """Number of events that were given out with all boards."""
        return self._waiting.n_complete

    @property
    def n_incomplete(self) -> int:
        """Number of events that were given out without some board."""
        return self._waiting.n_incomplete

    @property
    def n_crowded(self) -> int:
        """Number of events that were given out before their time, because too much was held."""
        return self._waiting.n_crowded

    @property
    def missing(self) -> dict[Board, int]:
        """Number of events that were given out without each board."""
        return self._waiting.missing

    @property
    def n_open(self) -> int:
        """Number of events that wait."""
        return sum(len(run.open) for run in self._runs.values())

    @property
    def held_bytes(self) -> int:
        """Size of the payloads of the events that wait."""
        return self._waiting.held_bytes

    @property
    def n_doubtful(self) -> int:
        """Number of frames in doubt."""
        return len(self._doubtful)

    @property
    def newest_epoch(self) -> int:
        """Number of runs before the newest one."""
        return self._choice.newest

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
        others = frozenset(board for board in self._waiting.boards if board[0] != cobo)
        self._waiting.boards = others | of_cobo
        return [event for run in self._runs.values() for event in self._waiting.give_out_ready(run)]

    def connect(self, source: int) -> None:
        """Say that there is a connection to an exporter: what it sends from now on belongs to the newest run."""
        self._connected.add(source)
        self._choice.connect(source)

    def disconnect(self, source: int) -> None:
        """Say that the connection to an exporter has ended."""
        self._connected.discard(source)
        self._choice.disconnect(source)

    def feed(self, piece: BoardFrame[T]) -> list[BuiltEvent[T]]:
        """Add a frame, and return the events that can be given out now."""
        board = piece.board
        if board not in self._waiting.boards:
            self.outcomes[piece.source][FrameOutcome.UNEXPECTED] += 1
            return []
        state = self._states.get(board)
        if state is not None and state.source != piece.source and self._is_disputed(state, piece):
            return []
        results: list[BuiltEvent[T]] = []
        if board in self._doubtful:
            results += self._settle(piece)
        if state is None or state.is_away:
            sequel, run = _SAME_RUN, self._choice.join(state, piece)
            state = self._states[board]
        else:
            sequel = state.sequel(piece.event_id, piece.event_time)
            sequel, run = self._choice.run_of(sequel, state, piece)
        if sequel is not _SAME_RUN:
            if sequel is Sequel.OPEN:
                self._doubtful[board] = piece
            else:
                is_copy = sequel is Sequel.DUPLICATE
                self.outcomes[piece.source][FrameOutcome.DUPLICATE if is_copy else FrameOutcome.DAMAGED] += 1
            return results
        state.seen_ns = piece.arrived_ns
        if piece.event_id - state.high > 1 and self._choice.is_leap(state, piece):
            return results + self._doubt_leap(state, piece)
        if run is not None and piece.event_id <= run.given_out and self._choice.was_passed_by_a_leap(run, piece):
            run = self._choice.begin_run(state, piece)
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
        self._choice.look_at_leaps(now_ns)
        for epoch in sorted(self._runs):
            results += self._waiting.give_out_due(self._runs[epoch], now_ns)
        self._waiting.keep_old(now_ns)
        return results

    def flush(self) -> list[BuiltEvent[T]]:
        """Return all open events, complete or not."""
        results: list[BuiltEvent[T]] = []
        for board in list(self._doubtful):
            results += self._decide_alone(self._doubtful.pop(board))
        for epoch in sorted(self._runs):
            run = self._runs[epoch]
            while run.order:
                results.append(self._waiting.give_out_lowest(run))
        return results

    def _is_disputed(self, state: BoardRun, piece: BoardFrame[T]) -> bool:
        """Return whether another exporter sends this board, and count the frame if so."""
        if state.is_away or piece.arrived_ns - state.seen_ns >= OWNER_NS:
            return False
        self.outcomes[piece.source][FrameOutcome.UNEXPECTED] += 1
        key = piece.board, piece.source
        self.disputed[key] = self.disputed.get(key, 0) + 1
        return True

    # -- doubt

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

    def _settle(self, piece: BoardFrame[T]) -> list[BuiltEvent[T]]:
        """Decide on the doubtful frame of a board by its next one."""
        state = self._states[piece.board]
        doubtful = self._doubtful.pop(piece.board)
        if state.is_away:
            return self._decide_alone(doubtful)
        if doubtful.event_id > state.high:
            if piece.event_id > doubtful.event_id:
                if is_ahead_of_others(self._states, state, doubtful, self._time_limit_ns):
                    self._choice.remember_leap(state, doubtful)
                return self._use(self._runs.get(state.epoch), doubtful)
            self.outcomes[doubtful.source][FrameOutcome.DAMAGED] += 1
            return []
        if doubtful.event_id < piece.event_id <= state.high:
            return self._use(self._choice.begin_run(state, doubtful), doubtful)
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
        clock = clock_of(board)
        known = run.time_of(event_id, clock)
        if known is None:
            run.remember(event_id, clock, piece.event_time)
        else:
            state.is_in_step = known == piece.event_time
            if len(event.payloads) == 1 and state.is_in_step:  # then the first one is in step as well
                first = next(iter(event.payloads))
                self._states[first].is_in_step |= clock_of(first) == clock
        state.n_used += 1
        state.kept_up_in = state.epoch
        event.payloads[board] = piece.payload
        event.times[board] = piece.event_time
        event.sizes[board] = piece.n_bytes
        waiting = self._waiting
        waiting.held_bytes += piece.n_bytes
        counts[_USED] += 1
        if len(event.payloads) >= len(waiting.boards):
            return waiting.give_out_ready(run)
        return waiting.give_out_crowded() if waiting.held_bytes > waiting.max_held_bytes else []
