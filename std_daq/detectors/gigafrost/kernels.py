"""The kernel that unpacks GIGAFROST's 12-bit pixels straight into the rows of the image."""

import numpy as np
from numba import int64, njit, types, uint8, uint16, void
from numpy.typing import NDArray

from std_daq.detectors.kernels import BITMAP, is_received, set_all


@njit(
    void(types.Array(uint8, 2, "C", readonly=True), BITMAP, uint16[:, ::1], int64, int64, int64, uint16),
    nogil=True,
    cache=True,
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
    """Unpack the rows of one module; three bytes hold two pixels, the first one's low bits first.

    Parameters
    ----------
    packed
        (rows, columns * 3 / 2), C-contiguous.
    received
        Bitmap of the rows that arrived.
    image
        (height, width); row i of the module goes to row ``y_first + i * y_step``, from column ``left`` on.
    """
    rows, width = packed.shape[0], packed.shape[1] // 3 * 2
    for row in range(rows):
        target = image[y_first + y_step * row, left : left + width]
        if not is_received(received, row):
            set_all(target, fill)
            continue
        source = packed[row]
        for i in range(len(source) // 3):
            middle = np.uint16(source[3 * i + 1])
            target[2 * i] = np.uint16(source[3 * i]) | (middle & np.uint16(15)) << np.uint16(8)
            target[2 * i + 1] = middle >> np.uint16(4) | np.uint16(source[3 * i + 2]) << np.uint16(4)
