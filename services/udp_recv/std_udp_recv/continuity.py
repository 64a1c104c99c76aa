"""ModuleContinuity: which frames of a module go on, and which one is the first after a restart. Pure."""

from dataclasses import dataclass
from enum import Enum, auto

MAX_AHEAD = 64
"""How far a frame may be ahead of its module's others, if its port has not noticed the restart that they have."""


class Continuity(Enum):
    """How a frame relates to those of its module before it."""

    GOES_ON = auto()
    RESTARTED = auto()
    STALE = auto()


@dataclass(slots=True)
class _PortState:
    epoch: int
    generation: int


class ModuleContinuity:
    """Follows the frames of one module over all of its ports.

    A port begins a new epoch when its frame numbers jump back or far ahead. What is ahead is a gap, not a restart: the
    numbers still tell how many frames are missing.

    Each port sees a restart by itself, later than the module's other port or, where an acquisition had no frame for
    it, not at all. So the epochs of two ports cannot be compared. Instead the restarts of the module are counted
    here, as *generations*, and a port is in the newest one once it has jumped since, or brings what fits there.
    """

    def __init__(self) -> None:
        self._ports: dict[int, _PortState] = {}
        self._generation = 0
        self._began_ns = 0
        self._highest = -1

    def judge(self, port: int, *, epoch: int, key: int, first_arrival_ns: int) -> Continuity:
        """Say what a frame is; frames of one port are told in the order in which they ended.

        Parameters
        ----------
        port
            Where it came from.
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
            return Continuity.STALE
        state.generation = self._generation
        self._highest = max(self._highest, key)
        return Continuity.GOES_ON
