"""Checksums of what is written into files: XXH3 with 64 bits, which ``xxhsum -H3`` computes as well."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeAlias

import xxhash

ALGORITHM = "XXH3-64"
Begun: TypeAlias = Callable[[], int]
"""Computes the checksum of a chunk, or waits for it."""

# To wake a thread and to wait for it takes 15 us, and longer if the processors are busy. That is as long as XXH3 takes
# for 512 KiB.
_THREAD_FROM_BYTES = 1024 * 1024

checksum_of = xxhash.xxh3_64_intdigest
"""Return the checksum of contiguous bytes, or of a contiguous array."""


def checksum_of_parts(parts: Iterable[Any]) -> int:
    """Return the checksum of several contiguous pieces, one behind the other."""
    state = xxhash.xxh3_64()
    for part in parts:
        state.update(part)
    return int(state.intdigest())


class ChunkChecksums:
    """Computes checksums of chunks beside their writing; used from one thread only.

    The checksum of a large chunk is computed in a thread of its own while the chunk is written, so that it takes no
    time from the writing. That of a small one is computed after the writing, when the chunk is in the processor's
    cache: to bring it there from memory takes as long as the checksum itself, and saves the writing little.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checksum")

    def begin(self, chunk: Any, n_bytes: int) -> Begun:
        """Return what `end` takes for the checksum of a chunk; called before the chunk is written."""
        if n_bytes < _THREAD_FROM_BYTES:
            return partial(checksum_of, chunk)
        return self._thread.submit(checksum_of, chunk).result

    def begin_parts(self, parts: Sequence[Any], n_bytes: int) -> Begun:
        """Do the same for a chunk of several pieces."""
        if n_bytes < _THREAD_FROM_BYTES:
            return partial(checksum_of_parts, parts)
        return self._thread.submit(checksum_of_parts, parts).result

    def end(self, begun: Begun) -> int:
        """Return the checksum of a chunk; called in any case before the caller changes the chunk."""
        return begun()

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown()
