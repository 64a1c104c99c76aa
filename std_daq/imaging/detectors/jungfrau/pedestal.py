"""Pedestals from dark images in forced gain: exact sums, and which pixels are bad."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from std_daq.errors import CalibrationError
from std_daq.imaging.detectors.jungfrau.geometry import COLUMNS, ROWS
from std_daq.imaging.detectors.jungfrau.kernels import accumulate, count_codes
from std_daq.imaging.detectors.jungfrau.tables import PLANE_OF_CODE
from std_daq.imaging.detectors.pixel_mask import MaskBit

STAGE_NAMES = ("gain 0", "gain 1", "gain 2", "high gain 0")
HIGH_GAIN_STAGE = 3
CODE_OF_STAGE = (*PLANE_OF_CODE, 0)
HIGH_GAIN_BIT = 1
# n * sum of squares fits into 64 bits: n^2 * 16383^2 < 2^64.
MOST_FRAMES = 262_000
# Median absolute deviations of a normal distribution in a standard deviation.
MAD_TO_SIGMA = 1.4826


@dataclass(frozen=True, slots=True)
class BadPixelCriteria:
    """When a pixel is bad; it is when it is in any stage.

    Parameters
    ----------
    n_sigmas
        A mean or an rms is an outlier when it is further than this many robust standard deviations (1.4826 times the
        median absolute deviation) from the median of the module in the stage. A mean that is one makes the pixel dead,
        an rms above it noisy.
    least_sigma_adu
        The standard deviation is taken for at least this, so that a very even module loses no good pixels.
    most_wrong_gain
        A pixel is dead when a larger fraction of its frames has other gain bits than the forced ones.
    """

    n_sigmas: float = 10.0
    least_sigma_adu: float = 1.0
    most_wrong_gain: float = 0.01


@dataclass(frozen=True, slots=True)
class PedestalResult:
    """Pedestals of all modules; planes are the stages 0, 1, 2 and, if taken, high gain 0.

    Parameters
    ----------
    mean, rms
        In ADU, (3 or 4, n_modules * 512, 1024).
    n_samples
        Frames in which each pixel had the forced gain, of the same shape.
    pixel_mask
        NXmx bits, (n_modules * 512, 1024); a pixel that was never in the forced gain, is stuck (rms 0), has wrong gain
        bits or an outlying mean is dead.
    n_frames
        Frames of each module and plane, (n_modules, 3 or 4).
    """

    mean: NDArray[np.float32]
    rms: NDArray[np.float32]
    n_samples: NDArray[np.uint32]
    pixel_mask: NDArray[np.uint32]
    n_frames: NDArray[np.int64]


class PedestalAccumulator:
    """Takes dark frames in any order of stages; the gain bits of most pixels tell which stage was forced.

    Parameters
    ----------
    n_modules
        Modules of the detector.
    n_skipped
        Frames of a module that are left out after each change of its stage, while the detector settles.
    criteria
        When a pixel is bad.
    """

    def __init__(self, n_modules: int, n_skipped: int = 0, criteria: BadPixelCriteria | None = None) -> None:
        n_stages = len(STAGE_NAMES)
        shape = (n_modules, n_stages, ROWS, COLUMNS)
        # Pages of stages that never come are never touched.
        self._sums = np.zeros(shape, np.uint64)
        self._squares = np.zeros(shape, np.uint64)
        self._n_samples = np.zeros(shape, np.uint32)
        self.n_frames: NDArray[np.int64] = np.zeros((n_modules, n_stages), np.int64)
        self._n_skipped = n_skipped
        self._criteria = criteria or BadPixelCriteria()
        self._last_stage = [-1] * n_modules
        self._n_since_change = [0] * n_modules

    def add(self, module: int, raw: NDArray[np.uint16], daq_rec: int = 0) -> int | None:
        """Add one complete frame (512, 1024) and return its stage, or None where it was left out.

        Parameters
        ----------
        daq_rec
            The detector's recording word: tells high gain. Frames in forced gain 1 and 2 are the same in both.
        """
        stage = self._stage(raw, daq_rec)
        if stage != self._last_stage[module]:
            self._last_stage[module] = stage
            self._n_since_change[module] = 0
        self._n_since_change[module] += 1
        if self._n_since_change[module] <= self._n_skipped or self.n_frames[module, stage] >= MOST_FRAMES:
            return None
        self.n_frames[module, stage] += 1
        accumulate(
            raw,
            CODE_OF_STAGE[stage],
            self._sums[module, stage],
            self._squares[module, stage],
            self._n_samples[module, stage],
        )
        return stage

    def result(self) -> PedestalResult:
        """Return pedestals and bad pixels of what was added so far.

        Raises
        ------
        CalibrationError
            When a module has no frames of a stage, or only some modules have frames in high gain.
        """
        n_planes = len(STAGE_NAMES) if self.n_frames[:, HIGH_GAIN_STAGE].any() else HIGH_GAIN_STAGE
        for stage in range(n_planes):
            missing = np.flatnonzero(self.n_frames[:, stage] == 0)
            if len(missing):
                raise CalibrationError(
                    f"no dark images in {STAGE_NAMES[stage]} of modules {', '.join(map(str, missing))}",
                    remedy="take dark images in forced gain 0, 1 and 2 of all modules",
                )
        n_modules = len(self.n_frames)
        shape = (n_planes, n_modules * ROWS, COLUMNS)
        mean, rms = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        n_samples = np.zeros(shape, np.uint32)
        pixel_mask = np.zeros(shape[1:], np.uint32)
        for module in range(n_modules):
            rows = slice(module * ROWS, (module + 1) * ROWS)
            for plane in range(n_planes):
                n_samples[plane, rows] = self._n_samples[module, plane]
                mean[plane, rows], rms[plane, rows] = self._mean_and_rms(module, plane)
                pixel_mask[rows] |= self._bad_pixels(
                    mean[plane, rows], rms[plane, rows], n_samples[plane, rows], int(self.n_frames[module, plane])
                )
        return PedestalResult(mean, rms, n_samples, pixel_mask, self.n_frames[:, :n_planes].copy())

    def _stage(self, raw: NDArray[np.uint16], daq_rec: int) -> int:
        n_pixels = np.zeros(4, np.int64)
        count_codes(raw, n_pixels)
        stage = int(np.argmax(n_pixels[list(PLANE_OF_CODE)]))
        return HIGH_GAIN_STAGE if stage == 0 and daq_rec & HIGH_GAIN_BIT else stage

    def _mean_and_rms(self, module: int, plane: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        sums, n = self._sums[module, plane], self._n_samples[module, plane].astype(np.uint64)
        divisor = np.maximum(n, np.uint64(1)).astype(np.float64)
        # In whole numbers: the difference of two large squares would lose its digits in floating point.
        variance_n2 = n * self._squares[module, plane] - sums * sums
        return sums / divisor, np.sqrt(variance_n2.astype(np.float64)) / divisor

    def _bad_pixels(
        self, mean: NDArray[np.float32], rms: NDArray[np.float32], n_samples: NDArray[np.uint32], n_frames: int
    ) -> NDArray[np.uint32]:
        is_wrong_gain = n_samples < n_frames * (1 - self._criteria.most_wrong_gain)
        is_stuck = (rms == 0) if n_frames > 1 else np.zeros_like(is_wrong_gain)
        is_dead = (n_samples == 0) | is_wrong_gain | is_stuck | (abs(self._deviation(mean, n_samples)) > 1)
        is_noisy = self._deviation(rms, n_samples) > 1
        mask: NDArray[np.uint32] = is_dead * np.uint32(MaskBit.DEAD) | is_noisy * np.uint32(MaskBit.NOISY)
        return mask

    def _deviation(self, values: NDArray[np.float32], n_samples: NDArray[np.uint32]) -> NDArray[np.float64]:
        """Return how far values are from the median of the pixels that were seen, 1 being the limit."""
        seen = values[n_samples > 0].astype(np.float64)
        if not len(seen):
            return np.zeros(values.shape)
        median = np.median(seen)
        sigma = max(MAD_TO_SIGMA * float(np.median(abs(seen - median))), self._criteria.least_sigma_adu)
        deviation: NDArray[np.float64] = (values - median) / (self._criteria.n_sigmas * sigma)
        return deviation
