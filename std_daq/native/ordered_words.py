"""Ordered reads and writes of 64-bit words in shared memory, for Python: `atomics` has them for compiled code.

They take 0.1 to 0.5 us more than a call of compiled functions, and no numba, whose import takes a second of a
processor and 150 MB: readers such as a user's notebook have none, and many services need none.

These functions rely on two properties of the processor. Both x86-64 and ARM have them.

*Each word is read or written in one piece.* The words of rings are aligned to 8 bytes, and numpy accesses such a word
with one instruction, which is atomic on both processors.

*A fence separates accesses.* Python has no fence, but its locks are built from atomic instructions: releasing a lock is
a store with release order, and acquiring it is a load with acquire order. `fence` releases a lock and then acquires it:

- On ARM, an access never moves behind a later store-release or before an earlier load-acquire, and a load-acquire never
  moves before an earlier store-release. So all accesses before the release stay before all accesses after the
  acquisition. The opposite order, acquire and then release, would not be a fence: accesses from both sides could move
  in between, and overtake each other there.
- On x86-64, both operations are locked instructions, which are full fences.

Each fence uses a new lock. Nobody else can hold it, so a fence never waits: neither in a signal handler that interrupts
another fence, nor in a child process that was forked during one.
"""

from threading import Lock

import numpy as np
from numpy.typing import NDArray


def fence() -> None:
    """Complete all earlier reads and writes before any later ones."""
    lock = Lock()
    lock.acquire()
    lock.release()
    lock.acquire()


def load_acquire(words: NDArray[np.uint64], index: int) -> int:
    """Return a word; everything that its writer wrote before this word is visible afterwards."""
    value = words.item(index)
    fence()
    return value


def store_release(words: NDArray[np.uint64], index: int, value: int) -> None:
    """Write a word; whoever reads it also sees everything that was written before it."""
    fence()
    words[index] = value


def publish(words: NDArray[np.uint64], index: int, value: int) -> None:
    """Write a word as `store_release` does; no later write becomes visible before it."""
    store_release(words, index, value)
    fence()


def begin_write(generations: NDArray[np.uint64], index: int) -> int:
    """Mark a slot as being written, and return its new, odd generation; afterwards its contents may be changed."""
    odd = (generations.item(index) + 1) | 1
    publish(generations, index, odd)
    return odd


def end_write(generations: NDArray[np.uint64], index: int) -> int:
    """Mark a slot as complete, and return its new, even generation."""
    even = (generations.item(index) | 1) + 1
    store_release(generations, index, even)
    return even


def is_unchanged(generations: NDArray[np.uint64], index: int, generation: int) -> bool:
    """Return whether a slot still has the even generation that was read before its contents were read."""
    fence()
    return generations.item(index) == generation
