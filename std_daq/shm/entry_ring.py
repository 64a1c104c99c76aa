"""EntryRing: a ring whose slots each hold what one journal entry describes, such as an image or an event."""

from abc import abstractmethod
from typing import Any, Generic, Protocol, Self, TypeVar

import numpy as np

from std_daq.shm.ring import RingBuffer, RingGeometry
from std_daq.shm.segment import Segment


class Readable(Protocol):
    """What a slot holds, in place or as a copy."""

    @property
    def id(self) -> int:
        """Number that the detector gave it."""
        ...

    @property
    def sequence(self) -> int:
        """Sequence number in the journal of the ring."""
        ...

    def copy(self) -> Self | None:
        """Return a copy, or None if it was overwritten before the copy was complete."""
        ...


Item = TypeVar("Item", bound=Readable)


class EntryRing(RingBuffer, Generic[Item]):
    """A ring with one journal; the slot of an entry is its sequence number modulo ``n_slots``.

    Attributes
    ----------
    journal
        The journal, whose entries have the fields ``sequence``, ``id`` and ``epoch``.
    """

    def __init__(self, segment: Segment, geometry: RingGeometry, header: np.dtype[Any], entry: np.dtype[Any]) -> None:
        super().__init__(segment, geometry, header, entry)
        self.journal = self.journals[0]

    def slot(self, sequence: int) -> int:
        """Return the slot of an entry."""
        return sequence % self.geometry.n_slots

    @abstractmethod
    def view(self, sequence: int) -> Item | None:
        """Return what an entry describes, in place, or None if it is not there; call its `is_intact` after use."""

    @abstractmethod
    def holds(self, sequence: int) -> bool:
        """Return whether an entry is there now; it may be overwritten at any time, so check again after use."""

    @property
    def last_overwritten(self) -> int:
        """Sequence number of the newest entry that is overwritten, or will be by the next one; negative if none is."""
        return self.journal.next_sequence - self.n_slots

    @property
    def safe_start(self) -> int:
        """Sequence number from which a reader has time: the oldest quarter, before it, is overwritten soon."""
        end = self.journal.next_sequence
        return max(0, end - (end - self.last_overwritten) * 3 // 4)

    @property
    def oldest(self) -> int:
        """Sequence number of the oldest entry that a reader can begin with."""
        oldest = max(0, self.last_overwritten)
        return oldest if self.holds(oldest) else self.safe_start

    def close(self) -> None:
        """Release the ring; arrays taken from it must not be used afterwards."""
        del self.journal
        super().close()
