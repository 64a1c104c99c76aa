"""What `atomics` does, in plain Python: for readers of rings where numba is not installed, as in a user's notebook.

Two things are needed of a processor, x86-64 or ARM.

*A word is read or written in one piece.* The words of rings are aligned to 8 bytes, and numpy accesses an aligned
element of 8 bytes with one instruction of that size. Both processors make such an access as a whole.

*A fence keeps accesses on their side of it.* Python has none, but its locks are built from atomic instructions: a lock
is released by a store with release order, and taken by a load with acquire order. `fence` releases a lock and takes it
again, in this order:

- On ARM no access moves behind a later store-release, none moves before an earlier load-acquire, and a load-acquire
  never moves before an earlier store-release. So all that is before the release stays before all that is behind the
  acquisition. The other way round, taking a lock and then releasing it, is no fence: what is before and what is behind
  may both move inside, and pass each other there.
- On x86-64 either operation is a locked instruction, which is a full fence.

The lock is a new one for each fence. Nobody else knows it, so it is never waited for: not in a signal handler that
interrupts a fence, and not in the child of a process that forked in the middle of one.
"""

from threading import Lock

import numpy as np
from numpy.typing import NDArray


def fence() -> None:
    """Keep reads and writes before this line before those after it."""
    lock = Lock()
    lock.acquire()
    lock.release()
    lock.acquire()


def load_acquire(words: NDArray[np.uint64], index: int) -> int:
    """Return a word; what the writer wrote before it is visible afterwards."""
    value = words.item(index)
    fence()
    return value


def store_release(words: NDArray[np.uint64], index: int, value: int) -> None:
    """Write a word; all that was written before it is visible to whoever reads it."""
    fence()
    words[index] = value


def publish(words: NDArray[np.uint64], index: int, value: int) -> None:
    """Write a word as `store_release` does, and before all that is written afterwards."""
    store_release(words, index, value)
    fence()


def begin_write(generations: NDArray[np.uint64], index: int) -> int:
    """Mark a slot as being written (odd) and return that generation; the slot's contents may be changed afterwards."""
    odd = (generations.item(index) + 1) | 1
    publish(generations, index, odd)
    return odd


def end_write(generations: NDArray[np.uint64], index: int) -> int:
    """Mark a slot as whole (even) and return that generation."""
    even = (generations.item(index) | 1) + 1
    store_release(generations, index, even)
    return even


def is_unchanged(generations: NDArray[np.uint64], index: int, generation: int) -> bool:
    """Return whether a slot still has the even generation that was read before its contents were."""
    fence()
    return generations.item(index) == generation
