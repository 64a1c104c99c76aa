"""ImageSource: reads published images, or events, from their ring, also from a place in the past."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from std_daq.errors import RequestRefusedError
from std_daq.reading.journal_search import Fate, find_in_journal
from std_daq.shm.entry_ring import EntryRing
from std_daq.shm.journal import JournalPart
from std_daq.streams.follower import RingFollower, start_oldest

READ_LIMIT = 1024


@dataclass(frozen=True, slots=True)
class JournalPoint:
    """A place in the journal of one ring: when the ring was created, and the next sequence number."""

    ring_created_ns: int
    sequence: int


class ImageSource:
    """Follows the ring, for one run after another.

    Parameters
    ----------
    attach
        Attaches to the ring of images or events; raises SharedMemoryError while there is none.
    noun
        What one of them is called.
    clock
        Returns the monotonic time in seconds.
    """

    def __init__(
        self,
        attach: Callable[[], EntryRing[Any]],
        noun: str = "image",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._noun = noun
        self._follower = RingFollower(attach, start=start_oldest, clock=clock)

    @property
    def has_ring(self) -> bool:
        """Whether there is a ring."""
        return self._follower.ring is not None and self._follower.ring.is_live

    @property
    def frame_index_step(self) -> int:
        """Difference between the frame indices of consecutive images; 1 for events."""
        ring = self._follower.ring
        return 1 if ring is None else int(ring.geometry.attributes.get("frame_index_step", 1))

    @property
    def lag(self) -> int:
        """Images that are published and not yet read."""
        return self._follower.lag

    @property
    def n_slots(self) -> int:
        """Size of the ring; 0 while there is none."""
        return 0 if self._follower.ring is None else self._follower.ring.n_slots

    def look(self) -> None:
        """Attach to the ring if it has appeared or was replaced; call this regularly while nothing is read."""
        follower = self._follower
        if follower.journal is not None and not self.has_ring:
            follower.cursor = follower.journal.next_sequence  # no run needs the rest of a replaced ring
        if not self.has_ring:
            follower.attach_if_due()

    def position(self) -> JournalPoint | None:
        """Return the place of the next image in the journal; None if there is no ring."""
        follower = self._follower
        if follower.ring is None or follower.journal is None:
            return None
        return JournalPoint(follower.ring.segment.created_ns, follower.journal.next_sequence)

    def check_start(self, start_image_id: int) -> None:
        """Raise RequestRefusedError if the image was in the ring and is overwritten."""
        self._find(start_image_id)

    def begin(self, asked_at: JournalPoint | None, start_image_id: int | None) -> None:
        """Place the cursor at the first image of a run.

        If the run has a start image and that image is in the ring, the cursor is placed there. Otherwise the run
        begins where the run before it ended, with two limits. It does not begin before it was requested. It also does
        not begin with the oldest quarter of the ring, which is about to be overwritten.

        Parameters
        ----------
        asked_at
            Place of the next image when the run was requested; None if there was no ring.
        start_image_id
            Id of the first image of the run; None if the request gives none.

        Raises
        ------
        RequestRefusedError
            The start image was in the ring and is overwritten.
        """
        follower = self._follower
        if follower.ring is None or follower.journal is None:
            return
        first = max(follower.cursor, follower.ring.safe_start)
        if asked_at is not None and asked_at.ring_created_ns == follower.ring.segment.created_ns:
            first = max(first, asked_at.sequence)
        found = None if start_image_id is None else self._find(start_image_id)
        follower.cursor = first if found is None else found

    def read(self) -> JournalPart | None:
        """Return the next entries of the journal, a bounded number; None if there is nothing new."""
        return self._follower.read(READ_LIMIT)

    def put_back(self, n_entries: int) -> None:
        """Put the last entries of `read` back, so that the next run can begin with them."""
        self._follower.cursor -= n_entries

    def close(self) -> None:
        """Detach from the ring."""
        self._follower.close()

    def _find(self, start_image_id: int) -> int | None:
        """Return the sequence number from which to look for the start image; None if the image is still to come."""
        ring = self._follower.ring
        if ring is None:
            return None
        place = find_in_journal(ring.journal, start_image_id, ring.journal.next_sequence - ring.last_overwritten)
        if place.fate is Fate.FORGOTTEN:
            raise RequestRefusedError(
                f"{self._noun} {start_image_id} is no longer in the ring; the oldest {self._noun} there is "
                f"{place.oldest_id}"
            )
        # If the start image never came, the search finds the image before it. The counter needs that image to know
        # how many are lost.
        return None if place.fate is Fate.TO_COME else place.sequence
