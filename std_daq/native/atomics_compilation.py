"""Compiles the ordered reads and writes of rings for each kind of array that they are called with."""

import numpy as np

from std_daq.native import atomics


def compile_atomics() -> None:
    """Compile them, or find them in the cache."""
    counters = np.zeros(2, np.uint64)  # one after the other, as in the control words of a journal
    generations = np.zeros(2, [("generation", "<u8"), ("metadata", "V56")])["generation"]  # one in each header
    for words in (counters, generations):
        atomics.publish(words, 0, 0)
        atomics.store_release(words, 0, 0)
        atomics.end_write(words, 0)
        for seen in (words, _read_only(words)):
            atomics.load_acquire(seen, 0)
            atomics.is_unchanged(seen, 0, 0)
        atomics.begin_write(words, 0)
    atomics.fence()


def _read_only(words: np.ndarray) -> np.ndarray:
    seen = words.view()
    seen.flags.writeable = False
    return seen
