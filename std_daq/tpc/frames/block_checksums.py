"""Checksums of GRAW files, which have no place for them: their index keeps one for each block of frames."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import xxhash
from numpy.typing import NDArray

from std_daq.checksums import checksum_of

BLOCK_BYTES = 4 << 20
"""A block ends with the frame that makes it at least as long as this."""


@dataclass(frozen=True, slots=True)
class FrameBlock:
    """Frames that lie one behind the other in a file.

    Parameters
    ----------
    first_id, last_id
        Event ids of the first and the last frame.
    n_bytes
        Length of the block.
    checksum
        XXH3-64 of its bytes, 16 hexadecimal digits.
    """

    first_id: int
    last_id: int
    n_bytes: int
    checksum: str

    def to_json(self) -> list[Any]:
        """Return the block as the index has it."""
        return [self.first_id, self.last_id, self.n_bytes, self.checksum]

    @classmethod
    def from_json(cls, row: list[Any]) -> Self:
        """Return a block of the index; raises ValueError or TypeError if it is none."""
        first_id, last_id, n_bytes, checksum = row
        return cls(int(first_id), int(last_id), int(n_bytes), str(checksum))


class BlockChecksums:
    """Computes the checksums of one file while its frames are written."""

    def __init__(self) -> None:
        self._ended: list[FrameBlock] = []
        self._state = xxhash.xxh3_64()
        self._ids: list[int] = []
        self._n_bytes = 0

    def add(self, frame: NDArray[np.uint8], event_id: int) -> None:
        """Add a frame that was written."""
        self._state.update(memoryview(frame))  # type: ignore[arg-type] # an array is a buffer
        self._ids = [*self._ids[:1], event_id]
        self._n_bytes += frame.nbytes
        if self._n_bytes >= BLOCK_BYTES:
            self._ended.append(self._block())
            self._state, self._ids, self._n_bytes = xxhash.xxh3_64(), [], 0

    @property
    def blocks(self) -> list[FrameBlock]:
        """The blocks of all frames until now."""
        return [*self._ended, self._block()] if self._ids else list(self._ended)

    def _block(self) -> FrameBlock:
        return FrameBlock(self._ids[0], self._ids[-1], self._n_bytes, self._state.hexdigest())


def changed_blocks(
    path: Path, blocks: list[FrameBlock], after_each: Callable[[], None] = lambda: None
) -> Iterator[tuple[int, FrameBlock]]:
    """Yield the blocks of a file that are not as they were written, each with its first byte; raises OSError."""
    begin = 0
    with path.open("rb") as file:
        for block in blocks:
            if f"{checksum_of(file.read(block.n_bytes)):016x}" != block.checksum:
                yield begin, block
            begin += block.n_bytes
            after_each()
