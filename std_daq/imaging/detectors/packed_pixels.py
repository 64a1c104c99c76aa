"""Pixels of 12 bits, as detectors pack them into packets; for simulation and tests."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def packed_12_bits(raw: NDArray[Any]) -> NDArray[np.uint8]:
    """Return pixels packed two per three bytes, (rows, columns * 3 / 2)."""
    even, odd = raw[:, 0::2].astype(np.uint16), raw[:, 1::2].astype(np.uint16)
    packed = np.empty((*even.shape, 3), np.uint8)
    packed[..., 0] = even & 0xFF
    packed[..., 1] = (even >> 8) & 0x0F | (odd & 0x0F) << 4
    packed[..., 2] = odd >> 4
    return packed.reshape(len(raw), -1)
