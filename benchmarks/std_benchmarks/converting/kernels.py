"""The plain correction of a JUNGFRAU frame once more, compiled by numba: the other reference."""

import numpy as np
from numba import float32, types, uint16, void
from numpy.typing import NDArray

from std_daq.native.jit import kernel

_PLANES = types.Array(float32, 2, "C")


@kernel(void(types.Array(uint16, 1, "C"), _PLANES, _PLANES, float32[::1]))
def three_branches(
    raw: NDArray[np.uint16],
    pedestals: NDArray[np.float32],
    inverse_gains: NDArray[np.float32],
    energies: NDArray[np.float32],
) -> None:
    """Correct one frame (n_pixels,) with tables (4, n_pixels), one plane for each gain code."""
    for i in range(len(raw)):
        code = raw[i] >> 14
        adc = np.float32(raw[i] & 0x3FFF)
        if code == 0:
            energies[i] = (adc - pedestals[0, i]) * inverse_gains[0, i]
        elif code == 1:
            energies[i] = (adc - pedestals[1, i]) * inverse_gains[1, i]
        elif code == 3:
            energies[i] = (adc - pedestals[3, i]) * inverse_gains[3, i]
        else:
            energies[i] = np.nan
