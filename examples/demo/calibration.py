"""Calibration files of the simulated detector, and the correction written down plainly, to compare with."""

from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

ROWS, COLUMNS = 512, 1024
N_PLANES = 4
PEDESTAL_ADU = (2500.0, 14000.0, 13500.0, 2600.0)
GAIN_ADU_PER_KEV = (40.0, -1.4, -0.1, 100.0)
BAD_PIXELS = 200


class Calibration:
    """Pedestals, gains and a mask of bad pixels, made up with the spread that real ones have.

    Parameters
    ----------
    n_modules
        Modules of the detector.
    seed
        Of the spread.
    """

    def __init__(self, n_modules: int, seed: int) -> None:
        random = np.random.default_rng(seed)
        shape = (N_PLANES, n_modules * ROWS, COLUMNS)
        centre = np.array(PEDESTAL_ADU, np.float32)[:, None, None]
        self.pedestals = (centre + random.normal(0, 50, shape)).astype(np.float32)
        scale = np.array(GAIN_ADU_PER_KEV, np.float32)[:, None, None]
        self.gains = (scale * random.normal(1, 0.03, shape)).astype(np.float32)
        self.mask = np.zeros(shape[1:], np.uint32)
        self.mask.flat[random.choice(self.mask.size, BAD_PIXELS, replace=False)] = 1

    def write(self, pedestal_file: Path, gain_file: Path) -> None:
        """Write the files as users have them."""
        with h5py.File(pedestal_file, "x") as file:
            file["gains"] = self.pedestals
            file["pixel_mask"] = self.mask
        with h5py.File(gain_file, "x") as file:
            file["gains"] = self.gains

    def energies(self, raw: NDArray[np.uint16]) -> NDArray[np.float32]:
        """Return energies in keV of raw pixels (n_modules, 512, 1024) as one image of modules below each other.

        ``energy = (adc - pedestal[stage]) * (1 / gain[stage])`` in float32; stages 0, 1, 2 have the gain bits 0, 1, 3.
        """
        pixels = raw.reshape(-1, COLUMNS)
        code = pixels >> 14
        stage = np.where(code == 3, 2, code)
        adc = (pixels & 0x3FFF).astype(np.float32)
        pedestal = np.take_along_axis(self.pedestals, stage[None].astype(np.intp), 0)[0]
        gain = np.take_along_axis(self.gains, stage[None].astype(np.intp), 0)[0]
        energy: NDArray[np.float32] = (adc - pedestal) * (1 / gain.astype(np.float64)).astype(np.float32)
        energy[(code == 2) | (self.mask != 0)] = np.nan
        return energy
