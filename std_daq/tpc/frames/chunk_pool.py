"""ChunkPool: memory for the bytes of streams that is used again when no frame refers to it any more."""

import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def _n_references(chunks: Sequence[NDArray[np.uint8]]) -> list[int]:
    return [sys.getrefcount(chunk) for chunk in chunks]


# What the count is if there is no reference but that of the list; it differs between versions of Python.
_UNUSED = _n_references([np.empty(0, np.uint8)])[0]


class ChunkPool:
    """Chunks of memory for streams; for one thread, while frames may be used and dropped in any.

    A frame is a view of the chunk in which it came, so a chunk lives as long as its frames. New memory costs more than
    what is written to it, because the kernel maps and clears it page by page; so chunks without frames are used again.

    Parameters
    ----------
    max_bytes
        Size of the chunks that are kept for further use.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._chunks: list[NDArray[np.uint8]] = []

    def take(self, n_bytes: int) -> NDArray[np.uint8]:
        """Return a chunk of a size, whose bytes may be anything; it comes back by itself."""
        for chunk, n_references in zip(self._chunks, _n_references(self._chunks), strict=True):
            # Nobody but the pool knows such a chunk, so nobody can have made a reference since.
            if len(chunk) == n_bytes and n_references == _UNUSED:
                return chunk
        made = np.empty(n_bytes, np.uint8)
        if sum(map(len, self._chunks)) + n_bytes <= self._max_bytes:
            self._chunks.append(made)
        return made
