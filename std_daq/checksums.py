"""Checksums of what is written into files: XXH3 with 64 bits, which ``xxhsum -H3`` computes as well."""

from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import xxhash

ALGORITHM = "XXH3-64"
# To wake a thread and to wait for it takes 15 us, and longer if the processors are busy. XXH3 takes about as long for
# 512 KiB, and the write that follows finds them in the cache.
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
    """Computes checksums of chunks while they are written; used from one thread only.

    The checksum of a large chunk is computed in a thread of its own, so that it takes no time from the writing.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checksum")

    def begin(self, chunk: Any, n_bytes: int) -> "int | Future[int]":
        """Return the checksum of a small chunk, or what `end` takes for that of a large one."""
        if n_bytes < _THREAD_FROM_BYTES:
            return checksum_of(chunk)
        return self._thread.submit(checksum_of, chunk)

    def begin_parts(self, parts: Sequence[Any], n_bytes: int) -> "int | Future[int]":
        """Do the same for a chunk of several pieces."""
        if n_bytes < _THREAD_FROM_BYTES:
            return checksum_of_parts(parts)
        return self._thread.submit(checksum_of_parts, parts)

    def end(self, begun: "int | Future[int]") -> int:
        """Return the checksum of a chunk; called in any case before the caller changes the chunk."""
        return begun if isinstance(begun, int) else begun.result()

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown()
