"""What one core copies from memory to memory: the limit of whatever moves images.

Blocks far larger than the caches, all pages touched before. Ours is numpy's copy, which the services use; the reference
is memcpy called from C. Neither does anything besides.
"""

import time
from collections.abc import Iterator

import numpy as np

from std_benchmarks import reference
from std_benchmarks.figure import Figure, Target
from std_benchmarks.setting import Setting
from std_benchmarks.turns import take_turns

BLOCK_BYTES = 256 * 2**20
N_COPIES = 4


def measure(setting: Setting) -> Iterator[Figure]:
    """Give the rate of both."""
    copy = reference.load("memory").copy
    copy.argtypes = reference.POINTER, reference.POINTER, reference.SIZE, reference.SIZE
    source = np.random.default_rng(0).integers(0, 255, BLOCK_BYTES, np.uint8)
    target = np.ones_like(source)

    def by_numpy() -> float:
        started = time.perf_counter()
        for _ in range(N_COPIES):
            np.copyto(target, source)
        return N_COPIES * BLOCK_BYTES / (time.perf_counter() - started) / 1e9

    def by_memcpy() -> float:
        started = time.perf_counter()
        copy(target.ctypes.data, source.ctypes.data, BLOCK_BYTES, N_COPIES)
        return N_COPIES * BLOCK_BYTES / (time.perf_counter() - started) / 1e9

    setting.progress("copying from memory to memory")
    ours, theirs = take_turns([by_numpy, by_memcpy], setting.repeats)
    if not np.array_equal(source, target):
        raise AssertionError("the copy differs")
    yield Figure("memory copy, one core", "GB/s", ours, "memcpy in C", theirs, Target.at_least(0.9))
