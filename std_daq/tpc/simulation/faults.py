"""What real streams of frames are like, and the faults that they may have on request."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from std_daq.tpc.electronics import Board
from std_daq.tpc.frames.encode import encode_message
from std_daq.tpc.simulation.readout import OutgoingFrame

Target = tuple[int, int | None]
"""A board, or with None for its AsAd all boards of a CoBo."""

_TURN, _MIX = 0.004, 0.02


@dataclass(frozen=True, slots=True)
class StreamFaults:
    """Faults on request.

    Parameters
    ----------
    lags
        By how many events each of some boards lags behind the others.
    dead
        Boards that send nothing.
    duplicate
        Probability that a frame is sent twice.
    garbage_size
        Probability that a size word is garbage.
    zero_size
        Probability that a message of size 0 comes before a frame.
    reconnect
        CoBos whose exporter drops its clients, each with the event before which it does.
    """

    lags: Mapping[Target, int] = field(default_factory=dict)
    dead: frozenset[Target] = frozenset()
    duplicate: float = 0.0
    garbage_size: float = 0.0
    zero_size: float = 0.0
    reconnect: Mapping[int, int] = field(default_factory=dict)


@dataclass(slots=True)
class StreamLedger:
    """What the faults did, for those who check a receiver."""

    n_duplicates: int = 0
    n_garbage_sizes: int = 0
    n_zero_sizes: int = 0
    n_not_sent: int = 0


def covers(targets: Iterable[Target], board: Board) -> bool:
    """Return whether a board is among some targets."""
    return any(cobo == board[0] and asad in {None, board[1]} for cobo, asad in targets)


class FrameStream:
    """Puts frames in the order of real streams, and adds faults.

    In real streams the order of boards turns now and then, and within a CoBo the frames of neighbouring events mix, so
    that ids fall by 1.

    Parameters
    ----------
    faults
        Faults on request.
    seed
        Selects where they are.
    is_mixed
        Whether the order is that of real streams; otherwise frames come as they are given.

    Attributes
    ----------
    ledger
        What was done until now.
    """

    def __init__(self, faults: StreamFaults, seed: int = 0, *, is_mixed: bool = True) -> None:
        self._faults = faults
        self._rng = np.random.default_rng((seed, 3))
        self._is_mixed = is_mixed
        self._late: dict[Board, deque[OutgoingFrame]] = {}
        self._held: dict[int, OutgoingFrame] = {}
        self.ledger = StreamLedger()

    def next_event(self, frames: Iterable[OutgoingFrame]) -> list[OutgoingFrame]:
        """Return the frames that are sent when the frames of an event come."""
        return self._mixed([one for frame in frames for one in self._delayed(frame)])

    def rest(self) -> list[OutgoingFrame]:
        """Return the frames that are still on their way at the end of a run."""
        held = list(self._held.values())
        self._held.clear()
        late = [frame for frames in self._late.values() for frame in frames]
        self._late.clear()
        return held + sorted(late, key=lambda frame: frame.data[22:26])

    def messages(self, frame: OutgoingFrame) -> list[bytes]:
        """Return the messages in which a frame goes to the clients."""
        faults, ledger, draws = self._faults, self.ledger, self._rng.random(3)
        messages = []
        if draws[0] < faults.zero_size:
            messages.append(bytes(8))
            ledger.n_zero_sizes += 1
        size = None
        if draws[1] < faults.garbage_size:
            size = int(self._rng.integers(1, 2**63))
            ledger.n_garbage_sizes += 1
        messages.append(encode_message(frame.data, size))
        if draws[2] < faults.duplicate:
            messages.append(encode_message(frame.data))
            ledger.n_duplicates += 1
        return messages

    def _delayed(self, frame: OutgoingFrame) -> list[OutgoingFrame]:
        if covers(self._faults.dead, frame.board):
            self.ledger.n_not_sent += 1
            return []
        lags = [lag for target, lag in self._faults.lags.items() if covers([target], frame.board)]
        if not lags:
            return [frame]
        waiting = self._late.setdefault(frame.board, deque())
        waiting.append(frame)
        return [waiting.popleft()] if len(waiting) > max(lags) else []

    def _mixed(self, frames: list[OutgoingFrame]) -> list[OutgoingFrame]:
        if not self._is_mixed or not frames:
            return frames
        if self._rng.random() < _TURN:
            turn = int(self._rng.integers(len(frames)))
            frames = frames[turn:] + frames[:turn]
        mixed = []
        held_now: dict[int, OutgoingFrame] = {}
        for frame in frames:
            cobo = frame.board[0]
            before = self._held.get(cobo)
            # A frame that was held comes behind the first one of another board, before the next one of its own.
            if before is not None and before.board == frame.board:
                mixed.append(self._held.pop(cobo))
                before = None
            if before is None and cobo not in held_now and self._rng.random() < _MIX:
                held_now[cobo] = frame
                continue
            mixed.append(frame)
            if before is not None:
                mixed.append(self._held.pop(cobo))
        mixed += self._held.values()
        self._held = held_now
        return mixed
