"""The journal of a ring: what was published, in order, under consecutive sequence numbers.

The journal is the truth; a ZMQ message is only the doorbell. It has more entries than the ring has slots, so that an
image that has been overwritten can still be named.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.shm.atomics import fence, load_acquire, store_release

# One cache line for the words of a journal: [next_sequence, resume_sequence, unused ...].
CONTROL_WORDS = 8
_NEXT = 0
_RESUME = 1


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

    @property
    def resume_sequence(self) -> int:
        """Where the writer of this ring stood in its own source: one behind the last entry that it has used up."""
        return int(load_acquire(self._control, _RESUME))

    def set_resume_sequence(self, sequence: int) -> None:
        """Remember where to go on after a restart."""
        store_release(self._control, _RESUME, sequence)

    def append(self, entry: NDArray[Any]) -> int:
        """Publish an entry, a struct of shape (1,); sets its ``sequence`` and returns it. One writer only."""
        sequence = int(self._control[_NEXT])
        entry["sequence"] = sequence
        self._entries[sequence % self._n] = entry[0]
        store_release(self._control, _NEXT, sequence + 1)
        return sequence

    def read(self, start: int, limit: int) -> "JournalPart":
        """Read up to ``limit`` entries from ``start`` on; entries that are gone are skipped and counted."""
        end = self.next_sequence
        first = min(max(start, end - self._n + 1, 0), end)
        stop = min(end, first + limit)
        copied = self._entries[np.arange(first, stop) % self._n]
        fence()
        # The writer went on meanwhile: whatever it may have reached by now is not to be trusted.
        safe = max(first, self.next_sequence - self._n + 1)
        return JournalPart(
            n_lost=min(safe, stop) - start if safe > start else 0, entries=copied[min(safe, stop) - first :]
        )


@dataclass(frozen=True, slots=True)
class JournalPart:
    """Entries in order, and how many before them are no longer known."""

    n_lost: int
    entries: NDArray[Any]
