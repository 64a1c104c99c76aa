"""The journal of a ring: a list of all published entries, in order, with consecutive sequence numbers.

Readers rely on the journal; a ZMQ message only tells them to look. The journal has more entries than the ring has
slots, so a reader can still find the id of an image that has been overwritten.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.native.ordered_words import fence, load_acquire, publish, store_release

# Control words of a journal: next_sequence, oldest_held, and what the writer has in hand on a cache line, then a pair
# (ring, sequence) for each source of the writer.
CONTROL_WORDS = 128
MAX_SOURCES = 60
MAX_EPOCH = 2**31
"""More restarts than any detector makes: a larger epoch in a ring is damaged, and one above 32 bits has no place."""
_NEXT = 0
_OLDEST_HELD = 1
_IN_HAND = 2
_RESUME = 8


class Journal:
    """The journal of one writer: entries (n_entries,) of a struct with a ``sequence`` field, and control words."""

    def __init__(self, entries: NDArray[Any], control: NDArray[np.uint64]) -> None:
        self._entries = entries
        self._control = control
        self._n = len(entries)

    @property
    def next_sequence(self) -> int:
        """The sequence number of the next entry; all entries with smaller numbers have been published."""
        return int(load_acquire(self._control, _NEXT))

    @property
    def oldest_sequence(self) -> int:
        """The oldest sequence number whose entry can be read."""
        return max(0, self.next_sequence - self._n + 1)

    @property
    def oldest_held(self) -> int:
        """The oldest sequence number whose content is in the ring; only rings whose contents share memory set it."""
        return int(load_acquire(self._control, _OLDEST_HELD))

    def set_oldest_held(self, sequence: int) -> None:
        """Store the oldest sequence number whose content is in the ring."""
        store_release(self._control, _OLDEST_HELD, sequence)

    def in_hand(self) -> tuple[int, int, int]:
        """Return what the writer of this ring was working on: epoch, frame number, and number of attempts; or zeros."""
        epoch_and_attempts = int(load_acquire(self._control, _IN_HAND + 1))
        epoch, n_attempts = divmod(epoch_and_attempts, 2**32)
        return epoch, int(self._control[_IN_HAND]), n_attempts

    def set_in_hand(self, epoch: int, frame_number: int, n_attempts: int) -> None:
        """Store what the writer is going to work on, for the process that takes its place if this one dies of it."""
        # If this process dies between the stores, nothing must be in hand rather than a mixture.
        store_release(self._control, _IN_HAND + 1, 0)
        self._control[_IN_HAND] = frame_number
        store_release(self._control, _IN_HAND + 1, epoch << 32 | n_attempts)

    def resume_point(self, source: int) -> tuple[int, int]:
        """Return where the writer of this ring resumes to read one of its sources after a restart.

        Returns
        -------
        The ring that was the source (its ``created_ns``; 0 if there is no resume point), and the sequence number after
        the last entry that the writer has finished.
        """
        word = _RESUME + 2 * source
        return int(self._control[word]), int(load_acquire(self._control, word + 1))

    def set_resume_point(self, source: int, ring: int, sequence: int) -> None:
        """Store where this writer resumes to read a source, whose index is less than MAX_SOURCES."""
        word = _RESUME + 2 * source
        if int(self._control[word]) != ring:
            # If this process dies between the stores below, the resume point must be the beginning of the new source.
            store_release(self._control, word + 1, 0)
        self._control[word] = ring
        store_release(self._control, word + 1, sequence)

    def append(self, entry: NDArray[Any]) -> int:
        """Publish an entry, a struct of shape (1,); sets and returns its ``sequence``. One writer only."""
        sequence = int(self._control[_NEXT])
        entry["sequence"] = sequence
        self._entries[sequence % self._n] = entry[0]
        # Until this number is visible, readers treat the entry as not yet written.
        publish(self._control, _NEXT, sequence + 1)
        return sequence

    def read(self, start: int, limit: int) -> "JournalPart":
        """Read up to ``limit`` entries from ``start``; entries that have been overwritten are skipped and counted."""
        end = self.next_sequence
        first = min(max(start, end - self._n + 1, 0), end)
        stop = min(end, first + limit)
        copied = self._copy(first, stop)
        fence()
        # The writer may have overwritten the oldest entries during the copy; those are dropped.
        safe = max(first, self.next_sequence - self._n + 1)
        return JournalPart(
            n_lost=min(safe, stop) - start if safe > start else 0, entries=copied[min(safe, stop) - first :]
        )

    def _copy(self, first: int, stop: int) -> NDArray[Any]:
        """Return a copy of the entries from ``first`` up to, but not including, ``stop``; at most ``n_entries``."""
        at = first % self._n
        end = at + stop - first
        if end <= self._n:
            return self._entries[at:end].copy()  # several times as fast as indexing with an array
        return np.concatenate((self._entries[at:], self._entries[: end - self._n]))


@dataclass(frozen=True, slots=True)
class JournalPart:
    """Entries in order, and the number of entries before them that were overwritten."""

    n_lost: int
    entries: NDArray[Any]
