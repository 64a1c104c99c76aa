"""Simulation of raw JUNGFRAU pixels from photons, with gain switching, pedestals and noise."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.imaging.detectors.jungfrau.geometry import COLUMNS, ROWS
from std_daq.imaging.detectors.jungfrau.options import JungfrauOptions
from std_daq.imaging.detectors.jungfrau.tables import PLANE_OF_CODE, load_tables

GAIN_CODES = tuple(PLANE_OF_CODE)
MAX_ADC = 0x3FFF
SATURATED = 0xC000
# Plausible values of a module in the gain stages 0, 1 and 2: pedestals and noises in ADU, gains in ADU/keV.
PEDESTALS = (4000.0, 14500.0, 14800.0)
GAINS = (41.0, -1.43, -0.11)
NOISES = (4.0, 2.5, 2.0)
PEDESTAL_SPREAD = 150.0
PHOTON_ENERGY_KEV = 12.4
IMAGES_PER_STAGE = 100


class JungfrauResponse:
    """Pedestals and gains of simulated modules: from the configured files, or plausible values.

    Parameters
    ----------
    options
        Options of the detector; if they name a pedestal file and a gain file, these are used.
    n_modules
        Number of modules.
    seed
        Seed of the random numbers; detectors with the same seed are equal.
    """

    def __init__(self, options: JungfrauOptions, n_modules: int, seed: int) -> None:
        shape = (n_modules, ROWS, COLUMNS)
        rng = np.random.default_rng([seed, 1])
        pattern = rng.standard_normal(shape, np.float32) * np.float32(PEDESTAL_SPREAD)
        self.pedestals = [np.float32(pedestal) + pattern for pedestal in PEDESTALS]
        self.gains = [np.full(shape, gain, np.float32) for gain in GAINS]
        if options.pedestal_file is not None and options.gain_file is not None:
            self._load_tables(options, n_modules)
        self._seed = seed

    def _load_tables(self, options: JungfrauOptions, n_modules: int) -> None:
        tables = next(iter(load_tables(options, n_modules).cells.values())).by_module
        for module, table in enumerate(tables):
            for stage, code in enumerate(GAIN_CODES):
                is_good = np.isfinite(table[:, :, code]).all(axis=-1)
                self.pedestals[stage][module][is_good] = table[:, :, code, 0][is_good]
                self.gains[stage][module][is_good] = 1 / table[:, :, code, 1][is_good]

    def raw_from_energy(self, energy: NDArray[np.float32], index: int) -> NDArray[np.uint16]:
        """Return the raw pixels for energies in keV, (n_modules, rows, columns).

        Each pixel is in the first gain stage that can represent its energy.
        """
        rng = np.random.default_rng([self._seed, 2, index])
        noise = rng.standard_normal(energy.shape, np.float32)
        raw = np.full(energy.shape, SATURATED, np.uint16)
        is_open = np.ones(energy.shape, np.bool_)
        for stage, code in enumerate(GAIN_CODES):
            adc = np.rint(self.pedestals[stage] + energy * self.gains[stage] + noise * np.float32(NOISES[stage]))
            is_here = is_open & (adc > 0) & (adc < MAX_ADC)
            raw[is_here] = adc[is_here].astype(np.uint16) | np.uint16(code << 14)
            is_open &= ~is_here
        return raw

    def dark(self, stage: int, index: int) -> NDArray[np.uint16]:
        """Return dark raw pixels in a forced gain stage, (n_modules, rows, columns)."""
        rng = np.random.default_rng([self._seed, 3, stage, index])
        adc = self.pedestals[stage] + rng.standard_normal(self.pedestals[stage].shape, np.float32) * NOISES[stage]
        return np.clip(np.rint(adc), 0, MAX_ADC).astype(np.uint16) | np.uint16(GAIN_CODES[stage] << 14)


def pedestal_run(stages: list[Iterator[NDArray[Any]]]) -> Iterator[NDArray[Any]]:
    """Yield 100 images of each gain stage in turn, without end."""
    while True:
        for images in stages:
            for _ in range(IMAGES_PER_STAGE):
                yield next(images)
