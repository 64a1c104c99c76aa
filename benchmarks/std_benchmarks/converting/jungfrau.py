"""JungfrauCase: realistic and hard JUNGFRAU frames, their tables, and the plain correction."""

import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from std_benchmarks import reference
from std_benchmarks.converting import kernels
from std_benchmarks.converting.rings import N_EXPOSURES, Rings
from std_daq.imaging.config.load import parse_config
from std_daq.imaging.detectors.jungfrau import Jungfrau

ROWS, COLUMNS = 512, 1024
N_PIXELS = ROWS * COLUMNS
CODE_OF_PLANE = (0, 1, 3)
# Plausible figures of the three gain stages, in ADU and ADU/keV; the fourth plane of gains is that of high gain.
PEDESTALS = np.array([4000.0, 14500.0, 14800.0])
GAINS = np.array([41.0, -1.43, -0.11, 100.0])


class JungfrauCase:
    """Modules of a JUNGFRAU below each other, with gaps, that become energies.

    Parameters
    ----------
    folder
        In shared memory.
    n_modules
        How many.

    Attributes
    ----------
    rings
        Frames and images.
    tables
        Pedestals and inverse gains of gain 0 of each module, as many bytes as a conversion needs at least.
    """

    def __init__(self, folder: Path, n_modules: int) -> None:
        rng = np.random.default_rng(1)
        self._n_modules = n_modules
        shape = (n_modules, ROWS, COLUMNS)
        self._pedestals = np.full((4, *shape), np.nan, np.float32)
        self._inverse_gains = np.full((4, *shape), np.nan, np.float32)
        self._is_masked = rng.random(shape) < 1e-4
        pedestals = (PEDESTALS[:, None, None, None] + 150 * rng.standard_normal(shape)).astype(np.float32)
        gains = (GAINS[:, None, None, None] * rng.uniform(0.98, 1.02, shape)).astype(np.float32)
        self._write_files(folder, pedestals, gains)
        for plane, code in enumerate(CODE_OF_PLANE):
            self._pedestals[code] = np.where(self._is_masked, np.nan, pedestals[plane])
            self._inverse_gains[code] = 1 / gains[plane].astype(np.float64)
        self.tables = np.stack([self._pedestals[0], self._inverse_gains[0]], axis=1)
        self._detector = _open(folder, n_modules)
        self._exposures = np.stack(list(islice(self._detector.simulated_frames("photons", 1), N_EXPOSURES)))
        self._random = rng.integers(0, 2**16, self._exposures.shape).astype(np.uint16)
        self.rings = Rings(folder, self._detector, self._exposures)
        self._planes = [
            (np.ascontiguousarray(self._pedestals[:, m]), np.ascontiguousarray(self._inverse_gains[:, m]))
            for m in range(n_modules)
        ]
        self._compiled = reference.load("convert").three_branches
        self._compiled.argtypes = (reference.POINTER,) * 4 + (reference.SIZE,)

    @property
    def share_of_other_gains(self) -> float:
        """Share of the pixels of the realistic frames that are in gain 1 or 2."""
        return float(np.mean(self._exposures > 0x3FFF))

    def use_random_codes(self) -> None:
        """Take frames with random gain codes from now on: the hardest there are."""
        self._exposures = self._random
        self.rings.fill(self._exposures)

    def three_branches_in_c(self) -> float:
        """Correct all frames with the plain kernel, compiled by the C compiler; returns modules a CPU second."""
        return self._correct_plainly(
            lambda raw, pedestals, inverse_gains, energies: self._compiled(
                raw.ctypes.data, pedestals.ctypes.data, inverse_gains.ctypes.data, energies.ctypes.data, N_PIXELS
            )
        )

    def three_branches_in_numba(self) -> float:
        """Correct all frames with the plain kernel, compiled by numba; returns modules a CPU second."""
        return self._correct_plainly(
            lambda raw, pedestals, inverse_gains, energies: kernels.three_branches(
                raw, pedestals.reshape(4, -1), inverse_gains.reshape(4, -1), energies
            )
        )

    def check(self) -> None:
        """Compare what the platform and the plain kernel made of the frames with numpy; raises AssertionError."""
        energies = [self._energies(raw) for raw in self._exposures]
        self.rings.check(map(self._place, energies))
        self.three_branches_in_c()
        for slot in range(self.rings.n_slots):
            plain = self.rings.targets[slot].view(np.float32).reshape(self._n_modules, ROWS, COLUMNS)
            if not np.array_equal(plain, energies[slot % N_EXPOSURES], equal_nan=True):
                raise AssertionError("the plain correction is wrong")

    def _correct_plainly(self, correct: Callable[..., None]) -> float:
        frames = self.rings.frames.view("<u2")
        targets = self.rings.targets.view(np.float32)
        started = time.thread_time()
        for slot in range(len(frames)):
            for module, planes in enumerate(self._planes):
                correct(frames[slot, module], *planes, targets[slot, module])
        return self.rings.n_frames / (time.thread_time() - started)

    def _energies(self, raw: NDArray[np.uint16]) -> NDArray[np.float32]:
        code = (raw >> 14)[None].astype(np.int64)
        pedestals, inverse_gains = (
            np.take_along_axis(table, code, axis=0)[0] for table in (self._pedestals, self._inverse_gains)
        )
        energies: NDArray[np.float32] = ((raw & 0x3FFF).astype(np.float32) - pedestals) * inverse_gains
        return energies

    def _place(self, energies: NDArray[np.float32]) -> NDArray[np.float32]:
        image = np.full(self.rings.images.shape[1:], np.nan, np.float32)
        for placement, values in zip(self._detector.placements, energies, strict=True):
            self._detector.grid.place(values, placement.view(image))
        return image

    def _write_files(self, folder: Path, pedestals: NDArray[np.float32], gains: NDArray[np.float32]) -> None:
        with h5py.File(folder / "pedestal.h5", "w") as file:
            file["gains"] = pedestals.reshape(3, -1, COLUMNS)
            file["pixel_mask"] = self._is_masked.reshape(-1, COLUMNS).astype(np.uint8)
        with h5py.File(folder / "gain.h5", "w") as file:
            file["gains"] = gains.reshape(4, -1, COLUMNS)


def _open(folder: Path, n_modules: int) -> Jungfrau:
    height, width = ROWS + 2, COLUMNS + 6
    return Jungfrau(
        parse_config(
            {
                "detector_name": "bench",
                "detector_type": "jungfrau",
                "n_modules": n_modules,
                "bit_depth": 16,
                "image_pixel_height": n_modules * height,
                "image_pixel_width": width,
                "start_udp_port": 50000,
                "module_positions": {
                    str(module): [0, top, width - 1, top + height - 1]
                    for module, top in enumerate(range(0, n_modules * height, height))
                },
                "detector": {
                    "conversion": "kev",
                    "pedestal_file": str(folder / "pedestal.h5"),
                    "gain_file": str(folder / "gain.h5"),
                },
            }
        )
    )
