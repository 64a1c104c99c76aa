"""A pedestal run of a JUNGFRAU: makes a pedestal file of all modules from dark frames of the modules that are on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.detectors.jungfrau.geometry import COLUMNS, ROWS
from std_daq.imaging.detectors.jungfrau.pedestal import STAGE_NAMES, PedestalAccumulator, PedestalResult
from std_daq.imaging.detectors.jungfrau.pedestal_file import write_pedestal_file
from std_daq.imaging.detectors.pixel_mask import MaskBit


class JungfrauPedestalRun:
    """Pedestal run of a JUNGFRAU; see `std_daq.imaging.detectors.pedestal_run.PedestalRun`.

    Parameters
    ----------
    config
        Configuration of the detector.
    n_skipped
        Number of frames of a module that are ignored after each change of its stage.
    """

    def __init__(self, config: DetectorConfig, n_skipped: int) -> None:
        self._n_modules = config.n_modules
        self._modules = [module for module in range(config.n_modules) if module not in config.deactivate]
        self._accumulator = PedestalAccumulator(len(self._modules), n_skipped)

    @property
    def n_frames(self) -> Mapping[str, int]:
        """Number of frames in each gain stage, for the module with the fewest frames."""
        fewest = self._accumulator.n_frames.min(axis=0).tolist()
        return dict(zip(STAGE_NAMES, fewest, strict=True))

    def add(self, module: int, frame: NDArray[np.uint8], daq_rec: int) -> None:
        """Add one whole frame."""
        self._accumulator.add(self._modules.index(module), frame.view("<u2").reshape(ROWS, COLUMNS), daq_rec)

    def write(self, path: Path, *, attributes: Mapping[str, Any], overwrite: bool) -> str:
        """Write the file; the pixels of modules that are off are marked as dead."""
        result = self._accumulator.result()
        is_bad = result.pixel_mask != 0
        write_pedestal_file(
            path, self._with_modules_that_are_off(result), attributes=dict(attributes), overwrite=overwrite
        )
        return f"{len(result.mean)} gain stages of {len(self._modules)} modules, {int(is_bad.sum())} bad pixels"

    def _with_modules_that_are_off(self, result: PedestalResult) -> PedestalResult:
        if len(self._modules) == self._n_modules:
            return result
        n_planes = len(result.mean)
        rows = np.concatenate([np.arange(module * ROWS, (module + 1) * ROWS) for module in self._modules])

        def spread(values: NDArray[Any]) -> NDArray[Any]:
            spread = np.zeros((n_planes, self._n_modules * ROWS, COLUMNS), values.dtype)
            spread[:, rows] = values
            return spread

        pixel_mask = np.full((self._n_modules * ROWS, COLUMNS), MaskBit.DEAD, np.uint32)
        pixel_mask[rows] = result.pixel_mask
        n_frames = np.zeros((self._n_modules, n_planes), np.int64)
        n_frames[self._modules] = result.n_frames
        return PedestalResult(spread(result.mean), spread(result.rms), spread(result.n_samples), pixel_mask, n_frames)
