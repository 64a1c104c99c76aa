"""A pedestal run of a JUNGFRAU: makes a pedestal file of all modules from dark frames of the modules that are on."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.errors import ConfigError
from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.detectors.jungfrau.geometry import COLUMNS, ROWS, FrameRows
from std_daq.imaging.detectors.jungfrau.packets import STORAGE_CELL
from std_daq.imaging.detectors.jungfrau.pedestal import (
    HIGH_GAIN_STAGE,
    STAGE_NAMES,
    PedestalAccumulator,
    PedestalResult,
)
from std_daq.imaging.detectors.jungfrau.pedestal_file import read_pedestal_file, write_pedestal_file
from std_daq.imaging.detectors.pixel_mask import MaskBit

# A storage cell that did not come for so many frames of each module is not in use: a frame of it came from before the
# detector was set up. With all 16 cells in turn, each comes every 16 frames.
_FRAMES_IN_USE = 100


class JungfrauPedestalRun:
    """Pedestal run of a JUNGFRAU; see `std_daq.imaging.detectors.pedestal_run.PedestalRun`.

    The frames of each storage cell are kept apart.

    Parameters
    ----------
    config
        Configuration of the detector.
    rows
        Rows of each submodule.
    n_skipped
        Number of frames of a submodule and cell that are ignored after each change of the stage.
    n_cells
        Number of storage cells that the detector uses.
    """

    def __init__(self, config: DetectorConfig, rows: Sequence[FrameRows], n_skipped: int, n_cells: int = 1) -> None:
        self._n_modules = config.n_modules
        self._submodules = [index for index, one in enumerate(rows) if one.module not in config.deactivate]
        self._rows = [rows[submodule] for submodule in self._submodules]
        self._n_skipped = n_skipped
        self._n_cells = n_cells
        self._cells: dict[int, PedestalAccumulator] = {}
        self._from_file: set[int] = set()
        self._last_seen: dict[int, int] = {}
        self._n_added = 0

    @property
    def n_frames(self) -> Mapping[str, int]:
        """Number of frames in each gain stage, for the submodule and the storage cell with the fewest frames."""
        cells = self._cells_in_use()
        if len(cells) < self._n_cells:
            return dict.fromkeys(STAGE_NAMES, 0)
        fewest = np.min([self._cells[cell].n_frames.min(axis=0) for cell in cells], axis=0)
        return dict(zip(STAGE_NAMES, fewest.tolist(), strict=True))

    @property
    def has_frames(self) -> bool:
        """Whether there is anything to write."""
        return any(self._cells[cell].n_frames.any() for cell in self._cells_in_use())

    def add(self, submodule: int, frame: NDArray[np.uint8], daq_rec: int) -> None:
        """Add one whole frame."""
        cell = STORAGE_CELL.of(daq_rec)
        self._n_added += 1
        self._last_seen[cell] = self._n_added
        raw = frame.view("<u2").reshape(-1, COLUMNS)
        self._accumulator(cell).add(self._submodules.index(submodule), raw, daq_rec)

    def add_file(self, path: Path) -> None:
        """Add the frames of a file that an earlier run has written."""
        for cell, earlier in read_pedestal_file(path, self._n_modules).items():
            self._from_file.add(cell)
            for index, one in enumerate(self._rows):
                rows = slice(one.module * ROWS + one.first, one.module * ROWS + one.end)
                self._accumulator(cell).add_result(index, earlier, rows, earlier.n_frames[one.module])

    def missing(self, stages: Sequence[str], n_wanted: int) -> list[str]:
        """Return what is missing, one text for each storage cell, stage and module that has too few frames."""
        cells = self._cells_in_use()
        modules = list(dict.fromkeys(one.module for one in self._rows))
        texts = []
        for cell in cells:
            n_frames = self._by_module(self._cells[cell].n_frames)
            for stage in stages:
                texts += [
                    f"{stage} of module {module}{_of_cell(cell, cells)}: {n} of {n_wanted} images"
                    for module in modules
                    if (n := int(n_frames[module, STAGE_NAMES.index(stage)])) < n_wanted
                ]
        n_absent = self._n_cells - len(cells)
        return texts + ([f"{n_absent} of {self._n_cells} storage cells: no image"] if n_absent > 0 else [])

    def write(self, path: Path, *, attributes: Mapping[str, Any], overwrite: bool) -> str:
        """Write the file; the pixels of modules that are off, and those that are not read, are marked as dead."""
        cells = self._cells_in_use()
        if not self.has_frames:
            raise ConfigError("there are no dark images to write", file=path)
        with_high_gain = any(self._cells[cell].n_frames[:, HIGH_GAIN_STAGE].any() for cell in cells)
        results = {cell: self._cells[cell].result(with_high_gain=with_high_gain) for cell in cells}
        n_bad = np.count_nonzero(np.bitwise_or.reduce([result.pixel_mask for result in results.values()]))
        write_pedestal_file(
            path,
            {cell: self._in_whole_modules(result) for cell, result in results.items()},
            attributes=dict(attributes),
            overwrite=overwrite,
        )
        n_stages = len(results[cells[0]].mean)
        of_cells = "" if len(cells) == 1 else f" and {len(cells)} storage cells"
        n_modules = len({one.module for one in self._rows})
        return f"{n_stages} gain stages of {n_modules} modules{of_cells}, {n_bad} bad pixels"

    def _accumulator(self, cell: int) -> PedestalAccumulator:
        if cell not in self._cells:
            self._cells[cell] = PedestalAccumulator(len(self._rows), self._n_skipped, n_rows=self._rows[0].n)
        return self._cells[cell]

    def _cells_in_use(self) -> list[int]:
        """Return the storage cells that the run is about: those that come, and those of an earlier run."""
        oldest = self._n_added - _FRAMES_IN_USE * len(self._rows)
        return sorted(self._from_file | {cell for cell, seen in self._last_seen.items() if seen > oldest})

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
        n_frames = self._by_module(result.n_frames)
        return PedestalResult(spread(result.mean), spread(result.rms), spread(result.n_samples), pixel_mask, n_frames)

    def _by_module(self, n_frames: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the numbers of frames of each module, of its submodule with the fewest; 0 for modules that are off."""
        result = np.zeros((self._n_modules, n_frames.shape[1]), np.int64)
        for module in {one.module for one in self._rows}:
            of_module = [index for index, one in enumerate(self._rows) if one.module == module]
            result[module] = n_frames[of_module].min(axis=0)
        return result


def _of_cell(cell: int, cells: Sequence[int]) -> str:
    return f", storage cell {cell}" if len(cells) > 1 else ""
