"""BoardRun: where a board is in its run, and what its next frame is by number and time."""

from dataclasses import dataclass, field
from enum import Enum, auto

from std_daq.tpc.building.run_events import remember

MAX_STEP = 2**20
"""A board whose number rises by more than this has probably sent garbage; its next frame decides."""


class Sequel(Enum):
    """What a frame is after those that its board has sent before."""

    SAME_RUN = auto()
    NEW_RUN = auto()
    DUPLICATE = auto()
    OPEN = auto()  # the next frame of the board decides


_SAME_RUN = Sequel.SAME_RUN  # what almost every frame is; a name of the module is found faster than a member


@dataclass(slots=True)
class BoardRun:
    """The run of one board.

    Attributes
    ----------
    epoch
        Number of runs before this one.
    source
        The exporter that sent the last frame.
    high, high_time
        The highest number in this run, and its event time.
    times
        Event times of the newest frames, by number.
    is_away
        Whether the connection of its exporter has ended since the last frame.
    is_in_step
        Whether its event time was that of the others in the last event.
    kept_up_in
        The run in which a frame of it was used last; -1 if none was, or if one of that run came too late afterwards.
    n_used
        Number of its frames that were used.
    seen_ns
        When its last frame came.
    leap, leap_from, leap_ns
        The number to which it has leapt ahead of all others, the one before it, and when that frame came; -1 if it has
        not, or if another board has reached that number since.
    left, left_high, left_leap
        The run that it has left for one of its own, and its highest number there before a leap, and that leap; -1 if
        there is none.
    """

    epoch: int
    source: int
    high: int = -1
    high_time: int = -1
    times: dict[int, int] = field(default_factory=dict)
    is_away: bool = False
    is_in_step: bool = False
    kept_up_in: int = -1
    n_used: int = 0
    seen_ns: int = -1
    leap: int = -1
    leap_from: int = -1
    leap_ns: int = -1
    left: int = -1
    left_high: int = -1
    left_leap: int = -1

    def sequel(self, event_id: int, event_time: int) -> Sequel:
        """Return what a frame is.

        A number that rises goes on in the run. A number that falls by more than 1, or comes again with another time,
        begins a new one. Number and time as before are a duplicate. Two frames leave it open: number and time of an
        older frame, which is a duplicate that was late, or a new run whose clock began again, too; and a number that
        is absurdly high.
        """
        if event_id > self.high:
            is_absurd = self.high >= 0 and event_id - self.high > MAX_STEP
            return Sequel.OPEN if is_absurd else _SAME_RUN
        seen = self.times.get(event_id)
        if seen == event_time:
            return Sequel.DUPLICATE if event_id >= self.high - 1 else Sequel.OPEN
        if seen is None and event_id == self.high - 1 and event_time < self.high_time:
            return Sequel.SAME_RUN
        return Sequel.NEW_RUN

    def begin(self, epoch: int) -> None:
        """Go on in another run."""
        self.epoch = epoch
        self.high = self.high_time = self.leap = self.left = -1
        self.times.clear()

    def leave(self, epoch: int) -> None:
        """Go on in a run that no other board has begun; it may turn out that this was no new run."""
        left, high, leap = self.epoch, self.high if self.leap < 0 else self.leap_from, self.leap
        self.begin(epoch)
        self.left, self.left_high, self.left_leap = left, high, leap

    def separate(self, epoch: int) -> None:
        """Go on with the numbers to which it has leapt in a run of its own."""
        self.left, self.left_high, self.epoch = self.epoch, self.leap_from, epoch
        self.leap = -1

    def come_back(self) -> None:
        """Go on in the run that was left."""
        epoch, high = self.left, self.left_high
        self.begin(epoch)
        self.high = high
        self.kept_up_in = epoch

    def advance(self, event_id: int, event_time: int) -> None:
        """Remember a frame of this run."""
        if event_id > self.high:
            self.high, self.high_time = event_id, event_time
        remember(self.times, event_id, event_time)
