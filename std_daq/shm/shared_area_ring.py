"""SharedAreaRing: a ring whose contents differ in size and lie one behind the other in an area that all slots share.

Example: an event of a chamber has 1.4 MB as a rule, and 10.6 MB at most. 1 GB holds 94 of the largest events, but 700
of the usual ones if each takes what it needs.

For a reader this ring is like the others: it notes the generation of a slot, uses the content in place, and checks the
generation afterwards. The writer keeps this promise: before it writes into the area, it gives each slot whose content
lies there a new, odd generation. Contents are overwritten in the order in which they were published, so the contents in
the ring are always those from `Journal.oldest_held` on.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from std_daq.shm.entry_ring import EntryRing, Item
from std_daq.shm.ring import RingGeometry
from std_daq.shm.segment import Segment

ALIGNMENT = 64


class _Extent(NamedTuple):
    """Where a content lies in the area; `end` is not included."""

    sequence: int
    start: int
    end: int


class SharedAreaRing(EntryRing[Item]):
    """A ring of contents that share an area. Beside ``generation``, headers have the fields ``start`` and ``n_bytes``.

    Attributes
    ----------
    area
        The shared area, uint8 (shared_bytes,).
    """

    def __init__(self, segment: Segment, geometry: RingGeometry, header: np.dtype[Any], entry: np.dtype[Any]) -> None:
        super().__init__(segment, geometry, header, entry)
        at = geometry.offsets()["data"]
        self.area: NDArray[np.uint8] = segment.bytes[at : at + geometry.shared_bytes]
        self._extents: deque[_Extent] = deque()
        self._head = 0  # the next content begins here, unless it does not fit before the end of the area

    @property
    def largest_bytes(self) -> int:
        """Size of the largest content: a quarter of the area, so that a reader has time for what is in the ring."""
        return self.geometry.shared_bytes // 4 // ALIGNMENT * ALIGNMENT

    def content(self, index: int) -> NDArray[np.uint8]:
        """Return the content of slot ``index``, without a copy; call `is_unchanged` afterwards.

        A position or a size that is read while it is being written cannot reach beyond the area.
        """
        start = int(self.headers["start"][index])
        return self.area[start : start + int(self.headers["n_bytes"][index])]

    def reserve(self, n_bytes: int) -> tuple[int, NDArray[np.uint8]]:
        """Make room for the next entry; for the owner.

        Everything that lies there is overwritten from now on. Write the content and the other fields of the header,
        then call `end` with the slot, then append the entry to the journal.

        Returns
        -------
        The slot, and the memory, uint8 (n_bytes,), at a multiple of 64 bytes.

        Raises
        ------
        ValueError
            The content is larger than `largest_bytes`.
        """
        if n_bytes > self.largest_bytes:
            raise ValueError(f"a content of {n_bytes} bytes is larger than {self.largest_bytes}")
        sequence = self.journal.next_sequence
        length = max(-(-n_bytes // ALIGNMENT), 1) * ALIGNMENT  # an empty content has a place in the order, too
        if self._head + length > self.geometry.shared_bytes:
            self._give_way(lambda extent: extent.start >= self._head)
            self._head = 0
        start, end = self._head, self._head + length
        self._give_way(
            lambda extent: extent.sequence <= sequence - self.n_slots or (extent.start < end and extent.end > start)
        )
        slot = self.slot(sequence)
        self.begin(slot)
        self.headers["start"][slot] = start
        self.headers["n_bytes"][slot] = n_bytes
        self._extents.append(_Extent(sequence, start, end))
        self._head = end
        return slot, self.area[start : start + n_bytes]

    def take_over(self) -> None:
        """Find what an owner before this one has left; for an owner, before its first `reserve`."""
        self.invalidate_unfinished()
        self._extents.clear()
        sequence = self.journal.next_sequence - 1
        while sequence >= self.journal.oldest_held and self.holds(sequence):
            header = self.headers[self.slot(sequence)]
            start, length = int(header["start"]), max(-(-int(header["n_bytes"]) // ALIGNMENT), 1) * ALIGNMENT
            if start + length <= self.geometry.shared_bytes:
                self._extents.appendleft(_Extent(sequence, start, start + length))
            # A place beyond the area is damaged. It would never be in the way, and hide those behind it.
            sequence -= 1
        self.journal.set_oldest_held(sequence + 1)
        self._head = self._extents[-1].end if self._extents else 0

    @property
    def last_overwritten(self) -> int:
        """Sequence number of the newest entry that is overwritten; negative if none is."""
        return self.journal.oldest_held - 1

    @property
    def safe_start(self) -> int:
        """Sequence number from which a reader has time; nothing is overwritten soon before anything was overwritten."""
        return super().safe_start if self.journal.oldest_held else 0

    @property
    def oldest(self) -> int:
        """Sequence number of the oldest entry that a reader can begin with."""
        return self.journal.oldest_held

    def close(self) -> None:
        """Release the ring; arrays taken from it must not be used afterwards."""
        del self.area
        super().close()

    def _give_way(self, is_in_the_way: Callable[[_Extent], bool]) -> None:
        """Mark the oldest contents as overwritten, as long as they are in the way."""
        extents = self._extents
        if not extents or not is_in_the_way(extents[0]):
            return
        while extents and is_in_the_way(extents[0]):
            self.begin(self.slot(extents.popleft().sequence))
        self.journal.set_oldest_held(extents[0].sequence if extents else self.journal.next_sequence)
