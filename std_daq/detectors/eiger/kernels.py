"""The kernel for 4-bit EIGER frames; wider pixels are placed by `std_daq.detectors.kernels.place_chips`."""

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from std_daq.detectors.kernels import BITMAP, is_received

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
            x = x_first + x_step * (start + gap * (start // chip))
            if has_arrived:
                for i in range(chip // 2):
                    pair = source[start // 2 + i]
                    target[x + x_step * 2 * i] = pair & 15
                    target[x + x_step * (2 * i + 1)] = pair >> 4
            else:
                for i in range(chip):
                    target[x + x_step * i] = fill
