"""The kernel that unpacks GIGAFROST's 12-bit pixels directly into the rows of the image."""

import numpy as np
from numba import int64, types, uint8, uint16, void
from numpy.typing import NDArray

from std_daq.imaging.detectors.kernels import BITMAP, index, is_received, set_pixels
from std_daq.native.jit import kernel


@kernel(
    void(types.Array(uint8, 2, "C", readonly=True), BITMAP, uint16[:, ::1], int64, int64, int64, uint16),
)
def unpack_rows(
    packed: NDArray[np.uint8],
    received: NDArray[np.uint64],
    image: NDArray[np.uint16],
    y_first: int,
    y_step: int,
    left: int,
    fill: int,
) -> None:
    """Unpack the rows of one module; three bytes hold two pixels, beginning with the low bits of the first pixel.

    Parameters
    ----------
    packed
        Packed pixels, (rows, columns * 3 / 2), C-contiguous.
    received
        Bitmap of the rows that arrived.
    image
        Image, (height, width). Row i of the module goes to row ``y_first + i * y_step``, from column ``left`` on.
    """
    rows, n_pairs = packed.shape[0], packed.shape[1] // 3
    for row in range(rows):
        y = y_first + y_step * row
        if not is_received(received, row):
            set_pixels(image, y, left, 2 * n_pairs, fill)
            continue
        for i in range(n_pairs):
            low = np.uint16(packed[index(row), index(3 * i)])
            middle = packed[index(row), index(3 * i + 1)]
            high = np.uint16(packed[index(row), index(3 * i + 2)])
            # Each step is cut to 8 or 16 bits: numba would compute with 64 bits, and a vector of 64-bit numbers holds
            # only a quarter as many pixels.
            low_of_middle = np.uint16(middle & np.uint8(15))
            image[index(y), index(left + 2 * i)] = np.uint16(low | np.uint16(low_of_middle << np.uint16(8)))
            high_of_middle = np.uint16(middle >> np.uint8(4))
            image[index(y), index(left + 2 * i + 1)] = np.uint16(high_of_middle | np.uint16(high << np.uint16(4)))
