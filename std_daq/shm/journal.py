"""The journal of a ring: what was published, in order, under consecutive sequence numbers.

The journal is the truth; a ZMQ message is only the doorbell. It has more entries than the ring has slots, so that an
image that has been overwritten can still be named.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.native.ordered_words import fence, load_acquire, publish, store_release

# The words of a journal: next_sequence on a cache line of its own, then (ring, sequence) for each source of the writer.
CONTROL_WORDS = 128
MAX_SOURCES = 60
_NEXT = 0
_RESUME = 8


class Journal:
    """One writer's journal: entries (n_entries,) of a struct with a ``sequence`` field, and its control words."""

    def __init__(self, entries: NDArray[Any], control: NDArray[np.uint64]) -> None:
        self._entries = entries
        self._control = control
        self._n = len(entries)

    @property
    def next_sequence(self) -> int:
        """The sequence number that the next entry will have; all below have been published."""
        return int(load_acquire(self._control, _NEXT))

    @property
    def oldest_sequence(self) -> int:
        """The oldest sequence number whose entry can be read."""
        return max(0, self.next_sequence - self._n + 1)

    def resume_point(self, source: int) -> tuple[int, int]:
        """Return how far the writer of this ring had come in one of its sources, for its next start.

        Returns
        -------
        Which ring the source was (its ``created_ns``; 0 where nothing is known), and the sequence number after the last
        entry of it that has been used up.
        """
        word = _RESUME + 2 * source
        return int(self._control[word]), int(load_acquire(self._control, word + 1))

    def set_resume_point(self, source: int, ring: int, sequence: int) -> None:
        """Remember how far this writer has come in a source; one of at most MAX_SOURCES."""
        word = _RESUME + 2 * source
        if int(self._control[word]) != ring:
            # Of another ring nothing has been used up, should this process end between the two writes.
            store_release(self._control, word + 1, 0)
        self._control[word] = ring
        store_release(self._control, word + 1, sequence)

    def append(self, entry: NDArray[Any]) -> int:
        """Publish an entry, a struct of shape (1,); sets its ``sequence`` and returns it. One writer only."""
        sequence = int(self._control[_NEXT])
        entry["sequence"] = sequence
        self._entries[sequence % self._n] = entry[0]
        # Readers take the entry that comes next for untouched until they see this number.
        publish(self._control, _NEXT, sequence + 1)
        return sequence

    def read(self, start: int, limit: int) -> "JournalPart":
        """Read up to ``limit`` entries from ``start`` on; entries that are gone are skipped and counted."""
        end = self.next_sequence
        first = min(max(start, end - self._n + 1, 0), end)
        stop = min(end, first + limit)
        copied = self._copy(first, stop)
        fence()
        # The writer went on meanwhile: whatever it may have reached by now is not to be trusted.
        safe = max(first, self.next_sequence - self._n + 1)
        return JournalPart(
            n_lost=min(safe, stop) - start if safe > start else 0, entries=copied[min(safe, stop) - first :]
        )

    def _copy(self, first: int, stop: int) -> NDArray[Any]:
        """Return a copy of the entries from ``first`` up to ``stop``, at most as many as there are."""
        at = first % self._n
        end = at + stop - first
        if end <= self._n:
            return self._entries[at:end].copy()  # several times as fast as by indices
        return np.concatenate((self._entries[at:], self._entries[: end - self._n]))


@dataclass(frozen=True, slots=True)
class JournalPart:
    """Entries in order, and how many before them are no longer known."""

    n_lost: int
    entries: NDArray[Any]
