"""Backlog: the events of the ring that wait to be analysed, the newest first."""

from collections import deque
from functools import partial
from pathlib import Path

from std_daq.shm.journal import Journal
from std_daq.streams.follower import RingFollower, start_now, start_oldest
from std_daq.tpc.events.event_buffer import EventBuffer


class Backlog:
    """The events that wait; the builder never waits for them.

    The newest event is always taken first, so that what is shown is new, however many wait. The others are taken when
    there is time. Those that the ring has overwritten by then are left out, and counted.

    Parameters
    ----------
    path
        The ring, which need not exist yet.

    Attributes
    ----------
    n_left_out
        Events that were overwritten before they were taken.
    """

    def __init__(self, path: Path) -> None:
        self._follower: RingFollower[EventBuffer] = RingFollower(partial(EventBuffer.attach, path), start=self._first)
        self._ring: EventBuffer | None = None
        self._waiting: deque[int] = deque()
        self._is_starting = True
        self.n_left_out = 0
        self._follower.attach_if_due()
        self._is_starting = False

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def next_sequence(self) -> int:
        """Sequence number of the first event that was not looked at yet."""
        return self._follower.cursor

    def look(self) -> None:
        """Add the events that have been published since the last look, and leave out those that were overwritten."""
        while (part := self._follower.read()) is not None:
            if self._follower.ring is not self._ring:  # nothing of the old ring can be read any more
                self._ring = self._follower.ring
                self.n_left_out += len(self._waiting)
                self._waiting.clear()
            self.n_left_out += part.n_lost
            self._waiting.extend(part.entries["sequence"].tolist())
        if self._ring is not None:
            last_overwritten = self._ring.last_overwritten
            while self._waiting and self._waiting[0] <= last_overwritten:
                self._waiting.popleft()
                self.n_left_out += 1

    def take(self) -> int | None:
        """Return the sequence number of the newest event that waits; None if none does."""
        return self._waiting.pop() if self._waiting else None

    def close(self) -> None:
        """Release the ring."""
        self._ring = None
        self._follower.close()

    def _first(self, ring: EventBuffer, journal: Journal) -> int:
        """Return where to begin in the first ring: all events of a ring that appears later are new."""
        return start_now(ring, journal) if self._is_starting else start_oldest(ring, journal)
