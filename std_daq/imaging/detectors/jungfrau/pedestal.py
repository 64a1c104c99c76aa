"""Pedestals and bad pixels from dark images in forced gain; sums are exact integers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from std_daq.imaging.detectors.jungfrau.geometry import COLUMNS, ROWS
from std_daq.imaging.detectors.jungfrau.kernels import accumulate, count_codes
from std_daq.imaging.detectors.jungfrau.tables import PLANE_OF_CODE
from std_daq.imaging.detectors.pixel_mask import MaskBit

STAGE_NAMES = ("gain 0", "gain 1", "gain 2", "high gain 0")
HIGH_GAIN_STAGE = 3
CODE_OF_STAGE = (*PLANE_OF_CODE, 0)
HIGH_GAIN_BIT = 1
# With this number of frames, n * (sum of squares) still fits into 64 bits: n^2 * 16383^2 < 2^64.
MAX_FRAMES = 262_000
# Standard deviation of a normal distribution, in units of its median absolute deviation.
MAD_TO_SIGMA = 1.4826


@dataclass(frozen=True, slots=True)
class BadPixelCriteria:
    """Criteria for bad pixels; a pixel is bad if it fulfils one of them in any gain stage.

    Parameters
    ----------
    n_sigmas
        Largest distance of a pixel's mean or rms from the median of the module in the stage, in robust standard
        deviations (1.4826 times the median absolute deviation). If the mean is further away, the pixel is dead. If the
        rms is further above, the pixel is noisy.
    min_sigma_adu
        Smallest value that is used for the standard deviation, in ADU, so that no good pixels of a very even module
        are lost.
    max_wrong_gain
        A pixel is dead if a larger fraction of its frames has gain bits other than the forced ones.
    """

    n_sigmas: float = 10.0
    min_sigma_adu: float = 1.0
    max_wrong_gain: float = 0.01


@dataclass(frozen=True, slots=True)
class PedestalResult:
    """Pedestals of all modules; the planes are the gain stages 0, 1, 2 and, if it was measured, high gain 0.

    Parameters
    ----------
    mean, rms
        Mean and rms of each pixel in ADU, (3 or 4, n_modules * 512, 1024). NaN for a module without
        frames of the stage.
    n_samples
        Number of frames in which the pixel had the forced gain, of the same shape.
    pixel_mask
        NXmx bits, (n_modules * 512, 1024). A pixel is dead if it never had the forced gain, is stuck (rms 0), has wrong
        gain bits too often, or has an outlying mean. Stages without frames are not judged.
    n_frames
        Number of frames of each module and plane, (n_modules, 3 or 4).
    """

    mean: NDArray[np.float32]
    rms: NDArray[np.float32]
    n_samples: NDArray[np.uint32]
    pixel_mask: NDArray[np.uint32]
    n_frames: NDArray[np.int64]


@dataclass(slots=True)
class _Stretches:
    """The present stretch of frames of one stage of a module, and the stretch before it.

    Attributes
    ----------
    stage, n
        Stage and number of frames of the present stretch.
    stage_before, n_before
        The same of the stretch before it.
    pending
        The first frame of the present stretch, while it is the only one: the next frame will tell whether it is good.
    is_pedestal_mode
        Whether the last change of the stage was for a single frame. Then the pending frame is counted already.
    """

    stage: int = -1
    n: int = 0
    stage_before: int = -1
    n_before: int = 0
    pending: NDArray[np.uint16] | None = None
    is_pedestal_mode: bool = False

    def begin(self, stage: int) -> None:
        """Begin a stretch with its first frame."""
        self.stage_before, self.n_before = self.stage, self.n
        self.stage, self.n = stage, 1

    def go_back(self) -> None:
        """Go on with the stretch before a single frame; the detector need not settle again."""
        stage, n = self.stage_before, self.n_before
        self.stage_before, self.n_before = self.stage, self.n
        self.stage, self.n = stage, n + 1


class PedestalAccumulator:
    """Accumulator of dark frames, in any order of gain stages.

    The gain bits of most pixels show which stage was forced. After a change of the stage the detector needs some frames
    to settle; these are left out. In JUNGFRAU's pedestal mode it is the detector itself that forces another stage for a
    single frame, again and again. Such a frame is good, and so are those after it. It is recognised by its two
    neighbours, which both have the stage from before.

    Parameters
    ----------
    n_modules
        Number of modules.
    n_skipped
        Number of frames of a module that are ignored after each change of its stage, while the detector settles; not
        in pedestal mode.
    criteria
        Criteria for bad pixels.
    n_rows
        Number of rows of a frame, if a frame is not a whole module.
    """

    def __init__(
        self, n_modules: int, n_skipped: int = 0, criteria: BadPixelCriteria | None = None, n_rows: int = ROWS
    ) -> None:
        n_stages = len(STAGE_NAMES)
        shape = (n_modules, n_stages, n_rows, COLUMNS)
        # Memory of stages that never come is never touched, so the system never allocates it.
        self._sums = np.zeros(shape, np.uint64)
        self._squares = np.zeros(shape, np.uint64)
        self._n_samples = np.zeros(shape, np.uint32)
        self.n_frames: NDArray[np.int64] = np.zeros((n_modules, n_stages), np.int64)
        self._n_skipped = n_skipped
        self._criteria = criteria or BadPixelCriteria()
        self._stretches = [_Stretches() for _ in range(n_modules)]

    def add(self, module: int, raw: NDArray[np.uint16], daq_rec: int = 0) -> int | None:
        """Add one complete frame (n_rows, 1024); return its stage, or None if the frame was ignored.

        Parameters
        ----------
        daq_rec
            The detector's recording word, which says whether high gain is on. High gain makes no difference for frames
            in forced gain 1 and 2.
        """
        stage = self._stage(raw, daq_rec)
        stretches = self._stretches[module]
        if stage == stretches.stage:
            self._drop_pending(module)
            stretches.n += 1
        elif stretches.pending is not None and stage == stretches.stage_before:
            self._take_pending(module)
            stretches.go_back()
        else:
            self._drop_pending(module)
            stretches.begin(stage)
            if self._n_skipped and self.n_frames[module, stage] < MAX_FRAMES:
                stretches.pending = raw.copy()
                self.n_frames[module, stage] += stretches.is_pedestal_mode
        if stretches.n <= self._n_skipped or self.n_frames[module, stage] >= MAX_FRAMES:
            return None
        self.n_frames[module, stage] += 1
        self._accumulate(module, stage, raw)
        return stage

    def add_result(self, module: int, earlier: PedestalResult, rows: slice, n_frames: NDArray[np.int64]) -> None:
        """Add the frames that an earlier run took.

        Parameters
        ----------
        rows
            Rows of the module in the result.
        n_frames
            Number of frames of each plane of the result.
        """
        for stage in range(len(earlier.mean)):
            n = earlier.n_samples[stage, rows].astype(np.float64)
            sums = np.rint(np.nan_to_num(earlier.mean[stage, rows].astype(np.float64)) * n)
            spread = np.nan_to_num(earlier.rms[stage, rows].astype(np.float64)) * n
            squares = np.rint((spread * spread + sums * sums) / np.maximum(n, 1))
            self._sums[module, stage] += sums.astype(np.uint64)
            self._squares[module, stage] += squares.astype(np.uint64)
            self._n_samples[module, stage] += earlier.n_samples[stage, rows]
            self.n_frames[module, stage] += n_frames[stage]

    def result(self, *, with_high_gain: bool | None = None) -> PedestalResult:
        """Return the pedestals and bad pixels from the frames added so far.

        Parameters
        ----------
        with_high_gain
            Whether there is a plane for high gain; by default if there are frames in high gain.
        """
        for module, stretches in enumerate(self._stretches):
            if stretches.is_pedestal_mode:  # the last frame of a series has no neighbour after it
                self._take_pending(module)
        if with_high_gain is None:
            with_high_gain = bool(self.n_frames[:, HIGH_GAIN_STAGE].any())
        n_planes = len(STAGE_NAMES) if with_high_gain else HIGH_GAIN_STAGE
        n_modules, _, n_rows, _ = self._sums.shape
        shape = (n_planes, n_modules * n_rows, COLUMNS)
        mean, rms = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        n_samples = np.zeros(shape, np.uint32)
        pixel_mask = np.zeros(shape[1:], np.uint32)
        for module in range(n_modules):
            rows = slice(module * n_rows, (module + 1) * n_rows)
            for plane in range(n_planes):
                if not self.n_frames[module, plane]:
                    mean[plane, rows] = rms[plane, rows] = np.nan
                    continue
                n_samples[plane, rows] = self._n_samples[module, plane]
                mean[plane, rows], rms[plane, rows] = self._mean_and_rms(module, plane)
                pixel_mask[rows] |= self._bad_pixels(
                    mean[plane, rows], rms[plane, rows], n_samples[plane, rows], int(self.n_frames[module, plane])
                )
        return PedestalResult(mean, rms, n_samples, pixel_mask, self.n_frames[:, :n_planes].copy())

    def _accumulate(self, module: int, stage: int, raw: NDArray[np.uint16]) -> None:
        accumulate(
            raw,
            CODE_OF_STAGE[stage],
            self._sums[module, stage],
            self._squares[module, stage],
            self._n_samples[module, stage],
        )

    def _take_pending(self, module: int) -> None:
        """Take the frame that waits for the one after it: it was a single frame of pedestal mode."""
        stretches = self._stretches[module]
        if stretches.pending is not None:
            self.n_frames[module, stretches.stage] += not stretches.is_pedestal_mode
            self._accumulate(module, stretches.stage, stretches.pending)
            stretches.is_pedestal_mode, stretches.pending = True, None

    def _drop_pending(self, module: int) -> None:
        """Drop the frame that waits, if there is one: the detector stayed in its stage, or went to a third one."""
        stretches = self._stretches[module]
        if stretches.pending is not None:
            self.n_frames[module, stretches.stage] -= stretches.is_pedestal_mode
            stretches.is_pedestal_mode, stretches.pending = False, None

    def _stage(self, raw: NDArray[np.uint16], daq_rec: int) -> int:
        n_pixels = np.zeros(4, np.int64)
        count_codes(raw, n_pixels)
        stage = int(np.argmax(n_pixels[list(PLANE_OF_CODE)]))
        return HIGH_GAIN_STAGE if stage == 0 and daq_rec & HIGH_GAIN_BIT else stage

    def _mean_and_rms(self, module: int, plane: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        sums, n = self._sums[module, plane], self._n_samples[module, plane].astype(np.uint64)
        divisor = np.maximum(n, np.uint64(1)).astype(np.float64)
        # Computed in integers: in floating point, the difference of two large numbers would lose its digits.
        variance_n2 = n * self._squares[module, plane] - sums * sums
        return sums / divisor, np.sqrt(variance_n2.astype(np.float64)) / divisor

    def _bad_pixels(
        self, mean: NDArray[np.float32], rms: NDArray[np.float32], n_samples: NDArray[np.uint32], n_frames: int
    ) -> NDArray[np.uint32]:
        is_wrong_gain = n_samples < n_frames * (1 - self._criteria.max_wrong_gain)
        is_stuck = (rms == 0) if n_frames > 1 else np.zeros_like(is_wrong_gain)
        is_dead = (n_samples == 0) | is_wrong_gain | is_stuck | (abs(self._deviation(mean, n_samples)) > 1)
        is_noisy = self._deviation(rms, n_samples) > 1
        mask: NDArray[np.uint32] = is_dead * np.uint32(MaskBit.DEAD) | is_noisy * np.uint32(MaskBit.NOISY)
        return mask

    def _deviation(self, values: NDArray[np.float32], n_samples: NDArray[np.uint32]) -> NDArray[np.float64]:
        """Return the distance of values from the median of all pixels with samples; 1 is the limit for a good pixel."""
        seen = values[n_samples > 0].astype(np.float64)
        if not len(seen):
            return np.zeros(values.shape)
        median = np.median(seen)
        sigma = max(MAD_TO_SIGMA * float(np.median(abs(seen - median))), self._criteria.min_sigma_adu)
        deviation: NDArray[np.float64] = (values - median) / (self._criteria.n_sigmas * sigma)
        return deviation
