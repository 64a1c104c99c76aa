"""A pedestal run of a JUNGFRAU: makes a pedestal file of all modules from dark frames of the modules that are on."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.detectors.jungfrau.geometry import COLUMNS, ROWS, FrameRows
from std_daq.imaging.detectors.jungfrau.pedestal import STAGE_NAMES, PedestalAccumulator, PedestalResult
from std_daq.imaging.detectors.jungfrau.pedestal_file import write_pedestal_file
from std_daq.imaging.detectors.pixel_mask import MaskBit


class JungfrauPedestalRun:
    """Pedestal run of a JUNGFRAU; see `std_daq.imaging.detectors.pedestal_run.PedestalRun`.

    Parameters
    ----------
    config
        Configuration of the detector.
    rows
        Rows of each submodule.
    n_skipped
        Number of frames of a submodule that are ignored after each change of its stage.
    """

    def __init__(self, config: DetectorConfig, rows: Sequence[FrameRows], n_skipped: int) -> None:
        self._n_modules = config.n_modules
        self._submodules = [index for index, one in enumerate(rows) if one.module not in config.deactivate]
        self._rows = [rows[submodule] for submodule in self._submodules]
        self._accumulator = PedestalAccumulator(len(self._rows), n_skipped, n_rows=rows[0].n)

    @property
    def n_frames(self) -> Mapping[str, int]:
        """Number of frames in each gain stage, for the submodule with the fewest frames."""
        fewest = self._accumulator.n_frames.min(axis=0).tolist()
        return dict(zip(STAGE_NAMES, fewest, strict=True))

    def add(self, submodule: int, frame: NDArray[np.uint8], daq_rec: int) -> None:
        """Add one whole frame."""
        self._accumulator.add(self._submodules.index(submodule), frame.view("<u2").reshape(-1, COLUMNS), daq_rec)

    def write(self, path: Path, *, attributes: Mapping[str, Any], overwrite: bool) -> str:
        """Write the file; the pixels of modules that are off, and those that are not read, are marked as dead."""
        result = self._accumulator.result()
        is_bad = result.pixel_mask != 0
        write_pedestal_file(path, self._in_whole_modules(result), attributes=dict(attributes), overwrite=overwrite)
        n_modules = len({rows.module for rows in self._rows})
        return f"{len(result.mean)} gain stages of {n_modules} modules, {int(is_bad.sum())} bad pixels"

    def _in_whole_modules(self, result: PedestalResult) -> PedestalResult:
        """Return a result with all rows of all modules, also of those that are off or not read."""
        n_planes = len(result.mean)
        rows = np.concatenate([one.module * ROWS + np.arange(one.first, one.end) for one in self._rows])
        if len(rows) == self._n_modules * ROWS == len(self._rows) * ROWS:
            return result

        def spread(values: NDArray[Any]) -> NDArray[Any]:
            spread = np.zeros((n_planes, self._n_modules * ROWS, COLUMNS), values.dtype)
            spread[:, rows] = values
            return spread

        pixel_mask = np.full((self._n_modules * ROWS, COLUMNS), MaskBit.DEAD, np.uint32)
        pixel_mask[rows] = result.pixel_mask
        n_frames = np.zeros((self._n_modules, n_planes), np.int64)
        for module in {one.module for one in self._rows}:
            of_module = [index for index, one in enumerate(self._rows) if one.module == module]
            n_frames[module] = result.n_frames[of_module].min(axis=0)
        return PedestalResult(spread(result.mean), spread(result.rms), spread(result.n_samples), pixel_mask, n_frames)
