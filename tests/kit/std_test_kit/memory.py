"""How much more memory work leaves behind each time that it is done."""

import gc
import itertools
import tracemalloc
from collections.abc import Callable

N_TIMES = 3


def growth_bytes(work: Callable[[], None]) -> int:
    """Return by how many bytes the memory of this process grew when work was done, the least of three times.

    What grows with the work does so each time. What another thread keeps, or a table that is made larger once in a
    while, is not in all of them. The work is done once before, for what is done for the first time.
    """
    tracemalloc.start()
    try:
        sizes = []
        for _ in range(N_TIMES + 1):
            work()
            gc.collect()
            sizes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    return min(after - before for before, after in itertools.pairwise(sizes))
