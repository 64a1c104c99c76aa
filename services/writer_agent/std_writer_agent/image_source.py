"""ImageSource: the images that are published, from a place that may lie in the past."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from std_daq.errors import RequestRefusedError
from std_daq.imaging.buffers.image_buffer import ImageBuffer
from std_daq.imaging.buffers.journal_search import Fate, find_in_journal
from std_daq.shm.journal import JournalPart
from std_daq.streams.follower import RingFollower, start_oldest

READ_LIMIT = 1024


@dataclass(frozen=True, slots=True)
class JournalPoint:
    """A place in the journal of one ring: which ring, and the sequence number that comes next."""

    ring_created_ns: int
    sequence: int


class ImageSource:
    """Follows the ImageBuffer for one run after the other.

    Parameters
    ----------
    path
        Of the ImageBuffer.
    clock
        Monotonic seconds.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._follower = RingFollower(partial(ImageBuffer.attach, path), start=start_oldest, clock=clock)

    @property
    def has_ring(self) -> bool:
        """Whether there is an ImageBuffer."""
        return self._follower.ring is not None and self._follower.ring.is_live

    @property
    def frame_index_step(self) -> int:
        """Distance of the frame indices of consecutive images."""
        return 1 if self._follower.ring is None else self._follower.ring.frame_index_step

    @property
    def lag(self) -> int:
        """Images that have been published and not been read."""
        return self._follower.lag

    def look(self) -> None:
        """While nothing is read: see whether the ring has appeared or been replaced."""
        follower = self._follower
        if follower.journal is not None and not self.has_ring:
            follower.cursor = follower.journal.next_sequence  # nobody wants the rest of a ring that is gone
        if not self.has_ring:
            follower.attach_if_due()

    def position(self) -> JournalPoint | None:
        """Return where the next image will be; None while there is no ring."""
        follower = self._follower
        if follower.ring is None or follower.journal is None:
            return None
        return JournalPoint(follower.ring.segment.created_ns, follower.journal.next_sequence)

    def check_start(self, start_image_id: int) -> None:
        """Raise RequestRefusedError if the image has been in the ring and is no longer."""
        self._find(start_image_id)

    def begin(self, asked_at: JournalPoint | None, start_image_id: int | None) -> None:
        """Place the cursor for a run.

        It begins where the run before it has ended, but not before it was asked for, and not with images that are
        just being overwritten; or at its start image if that is in the ring.

        Parameters
        ----------
        asked_at
            The position when the run was asked for; None if there was no ring.
        start_image_id
            First image of the run, if that is given.

        Raises
        ------
        RequestRefusedError
            The start image is no longer in the ring.
        """
        follower = self._follower
        if follower.ring is None or follower.journal is None:
            return
        n_slots = follower.ring.n_slots
        first = max(follower.cursor, follower.journal.next_sequence - n_slots + n_slots // 4)
        if asked_at is not None and asked_at.ring_created_ns == follower.ring.segment.created_ns:
            first = max(first, asked_at.sequence)
        found = None if start_image_id is None else self._find(start_image_id)
        follower.cursor = first if found is None else found

    def read(self) -> JournalPart | None:
        """Return what came, a bounded number of entries; None if there is nothing new."""
        return self._follower.read(READ_LIMIT)

    def put_back(self, n_entries: int) -> None:
        """Give the last entries that were read back: the next run may begin with them."""
        self._follower.cursor -= n_entries

    def close(self) -> None:
        """Let go of the ring."""
        self._follower.close()

    def _find(self, start_image_id: int) -> int | None:
        """Return the sequence number at which to look for the start image; None if it is still to come."""
        ring = self._follower.ring
        if ring is None:
            return None
        place = find_in_journal(ring.journal, start_image_id, ring.n_slots)
        if place.fate is Fate.FORGOTTEN:
            raise RequestRefusedError(
                f"image {start_image_id} is no longer in the ring, the oldest there is {place.oldest_id}"
            )
        # Of one that never came, the image before it tells how many were lost.
        return None if place.fate is Fate.TO_COME else place.sequence
