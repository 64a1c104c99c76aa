"""Sets of boards as bits: board ``[cobo, asad]`` is bit ``cobo * 4 + asad`` of 1024."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

N_ASADS = 4
N_COBOS = 256
BITS_BYTES = N_COBOS * N_ASADS // 8

Board = tuple[int, int]
"""A board: its CoBo, and its AsAd in this CoBo."""


def boards_to_bits(boards: Iterable[Board]) -> NDArray[np.uint8]:
    """Return a set of boards as bits, uint8 (128,)."""
    flags = np.zeros(N_COBOS * N_ASADS, np.uint8)
    for cobo, asad in boards:
        flags[cobo * N_ASADS + asad] = 1
    return np.packbits(flags, bitorder="little")


def boards_of_bits(bits: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a set of boards as rows (cobo, asad), ascending, uint8 (k, 2)."""
    numbers = np.flatnonzero(np.unpackbits(bits, bitorder="little"))
    return np.stack((numbers // N_ASADS, numbers % N_ASADS), axis=1).astype(np.uint8)
