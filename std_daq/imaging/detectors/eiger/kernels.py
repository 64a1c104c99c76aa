"""The kernel for 4-bit EIGER frames; wider pixels are placed by `std_daq.imaging.detectors.kernels.place_chips`."""

import numpy as np
from numba import types
from numpy.typing import NDArray

from std_daq.imaging.detectors.kernels import (
    BITMAP,
    fetch_row_ahead,
    index,
    is_received,
    left_of_chip,
    row_in_image,
    set_pixels,
)
from std_daq.native.jit import kernel
from std_daq.native.line_stores import order_stores, unpack_nibbles

_PACKED = types.Array(types.uint8, 2, "C", readonly=True)
_NUMBER = types.int64


@kernel(
    types.void(_PACKED, BITMAP, *[_NUMBER] * 3, types.uint8[:, ::1], *[_NUMBER] * 4, types.uint8),
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
    """Copy pixels that are packed two per byte, low nibble first, (rows, columns / 2), like `place_chips`."""
    rows, pairs_per_chip = packed.shape[0], chip // 2
    for row in range(rows):
        y = row_in_image(row, chip, gap, y_first, y_step)
        has_arrived = is_received(received, row // rows_per_unit)
        for number in range(packed.shape[1] // pairs_per_chip):
            x = left_of_chip(number, chip, gap, x_first, x_step)
            first = number * pairs_per_chip
            last = first + pairs_per_chip - 1
            if not has_arrived:
                set_pixels(image, y, x, chip, fill)
            elif x_step > 0:
                fetch_row_ahead(image, row, rows, chip, gap, y_first, y_step, x)
                unpack_nibbles(image, y, x, packed, row, first, chip)
            else:
                for i in range(pairs_per_chip):
                    pair = packed[index(row), index(last - i)]
                    image[index(y), index(x + 2 * i)] = np.uint8(pair >> np.uint8(4))
                    image[index(y), index(x + 2 * i + 1)] = np.uint8(pair & np.uint8(15))
    order_stores()
