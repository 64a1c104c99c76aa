"""The kernel for 4-bit EIGER frames; wider pixels are placed by `std_daq.detectors.kernels.place_chips`."""

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from std_daq.detectors.kernels import BITMAP, chip_row, is_received, reverse, set_all

_PACKED = types.Array(types.uint8, 2, "C", readonly=True)
_NUMBER = types.int64


@njit(
    types.void(_PACKED, BITMAP, *[_NUMBER] * 3, types.uint8[:, ::1], *[_NUMBER] * 4, types.uint8),
    nogil=True,
    cache=True,
)
def place_nibbles(
    packed: NDArray[np.uint8],
    received: NDArray[np.uint64],
    rows_per_unit: int,
    chip: int,
    gap: int,
    image: NDArray[np.uint8],
    y_first: int,
    x_first: int,
    y_step: int,
    x_step: int,
    fill: int,
) -> None:
    """As `place_chips`, for pixels packed two a byte, (rows, columns / 2), the low nibble first."""
    rows, columns = packed.shape[0], packed.shape[1] * 2
    for row in range(rows):
        source = packed[row]
        target = image[y_first + y_step * (row + gap * (row // chip))]
        has_arrived = is_received(received, row // rows_per_unit)
        for start in range(0, columns, chip):
            part = chip_row(target, start + gap * (start // chip), chip, x_first, x_step)
            if not has_arrived:
                set_all(part, fill)
                continue
            pairs = source[start // 2 : (start + chip) // 2]
            for i in range(len(pairs)):
                part[2 * i] = pairs[i] & 15
                part[2 * i + 1] = pairs[i] >> 4
            if x_step < 0:
                reverse(part)
