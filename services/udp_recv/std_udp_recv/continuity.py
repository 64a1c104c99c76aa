"""ModuleContinuity: finds the first frame of each module after a restart of the detector. Pure."""

from dataclasses import dataclass
from enum import Enum, auto

MAX_AHEAD = 64
"""How far a frame may be ahead of its module's highest frame to count as new, if its port has not noticed a restart."""


class Continuity(Enum):
    """Relation of a frame to the frames of its module before it.

    A frame from before the last restart may come after it, from the module's other port. A frame from before the last
    but one is stale.
    """

    GOES_ON = auto()
    RESTARTED = auto()
    BEFORE_RESTART = auto()
    STALE = auto()


@dataclass(slots=True)
class _PortState:
    epoch: int
    generation: int


class ModuleContinuity:
    """Follows the frames of one module over all of its ports.

    A port begins a new epoch when its frame numbers jump back or far ahead. Only a jump back is a restart. A jump ahead
    is a gap: the numbers still tell how many frames are missing.

    Each port notices a restart by itself. It may notice it later than the module's other port, or not at all if an
    acquisition had no frame for it. So the epochs of two ports cannot be compared. Instead, this class counts the
    restarts of the module as *generations*. A port joins the newest generation when its numbers have jumped since, or
    when its frame fits into that generation.
    """

    def __init__(self) -> None:
        self._ports: dict[int, _PortState] = {}
        self._generation = 0
        self._began_ns = 0
        self._highest = -1

    def judge(self, port: int, *, epoch: int, key: int, first_arrival_ns: int) -> Continuity:
        """Return the relation of a frame to those before it; the frames of a port must come in the order of their end.

        Parameters
        ----------
        port
            Port on which the frame arrived.
        epoch, key, first_arrival_ns
            See `EndedFrame`.
        """
        state = self._ports.setdefault(port, _PortState(epoch, self._generation))
        has_jumped = epoch != state.epoch
        state.epoch = epoch
        if has_jumped and state.generation == self._generation and key <= self._highest:
            self._generation += 1
            self._began_ns = first_arrival_ns
            state.generation = self._generation
            self._highest = key
            return Continuity.RESTARTED
        is_new = has_jumped or (key <= self._highest + MAX_AHEAD and first_arrival_ns >= self._began_ns)
        if state.generation != self._generation and not is_new:
            is_previous = state.generation == self._generation - 1
            return Continuity.BEFORE_RESTART if is_previous else Continuity.STALE
        state.generation = self._generation
        self._highest = max(self._highest, key)
        return Continuity.GOES_ON
