"""RingFollower: reads the journal of a ring in order, through lost messages, owner restarts and replaced rings."""

import time
from collections.abc import Callable
from typing import Generic, TypeVar

from std_daq.errors import SharedMemoryError
from std_daq.shm.journal import Journal, JournalPart
from std_daq.shm.ring import RingBuffer

Ring = TypeVar("Ring", bound=RingBuffer)
_LOOK_AGAIN_S = 0.2


def start_now(ring: RingBuffer, journal: Journal) -> int:  # noqa: ARG001 - the signature of every start
    """Return the sequence number of the next entry: reading begins with entries that are published from now on."""
    return journal.next_sequence


def start_oldest(ring: RingBuffer, journal: Journal) -> int:  # noqa: ARG001 - the signature of every start
    """Return the sequence number of the oldest entry in the journal."""
    return journal.oldest_sequence


class RingFollower(Generic[Ring]):
    """Follows one journal of a ring; attaches when the ring appears, and again when it is replaced.

    Parameters
    ----------
    attach
        Attaches to the ring; raises SharedMemoryError while the ring does not exist.
    journal
        Index of the journal.
    start
        Returns the first sequence number to read in the first ring. A ring that replaces it is read from its oldest
        entry.
    clock
        Returns monotonic seconds.

    Attributes
    ----------
    ring
        The ring; None while there is none.
    cursor
        The sequence number to read next.
    """

    def __init__(
        self,
        attach: Callable[[], Ring],
        journal: int = 0,
        start: Callable[[Ring, Journal], int] = start_now,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._attach = attach
        self._journal_index = journal
        self._start = start
        self._clock = clock
        self._next_look = 0.0
        self._had_ring = False
        self.ring: Ring | None = None
        self.cursor = 0

    @property
    def journal(self) -> Journal | None:
        """The journal; None while there is no ring."""
        return None if self.ring is None else self.ring.journals[self._journal_index]

    @property
    def lag(self) -> int:
        """Number of entries that have been published and not read."""
        journal = self.journal
        return 0 if journal is None else max(0, journal.next_sequence - self.cursor)

    def read(self, limit: int = 1024) -> JournalPart | None:
        """Return the entries published since the last call, in order, or None if there are none."""
        self.attach_if_due()
        journal = self.journal
        if journal is None or journal.next_sequence == self.cursor:
            return None
        part = journal.read(self.cursor, limit)
        self.cursor += part.n_lost + len(part.entries)
        return part

    def skip(self, n_left: int) -> int:
        """Skip entries until only the newest ``n_left`` are unread; returns the number of skipped entries."""
        n_skipped = max(0, self.lag - n_left)
        self.cursor += n_skipped
        return n_skipped

    def attach_if_due(self) -> None:
        """Attach to a new ring if there is no ring or it has been retired; looks for one a few times per second."""
        if self.ring is not None and self.ring.is_live:
            return
        now = self._clock()
        if now < self._next_look:
            return
        self._next_look = now + _LOOK_AGAIN_S
        if self.ring is not None and self.lag:
            return  # the last entries of the retired ring must be read first
        try:
            ring = self._attach()
        except SharedMemoryError:
            return
        if not ring.is_live:
            ring.close()
            return
        self.close()
        self.ring = ring
        journal = ring.journals[self._journal_index]
        self.cursor = journal.oldest_sequence if self._had_ring else self._start(ring, journal)
        self._had_ring = True

    def close(self) -> None:
        """Release the ring."""
        if self.ring is not None:
            self.ring.close()
            self.ring = None
