"""Converters of JUNGFRAU frames to raw pixels, energies or photons."""

from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.detectors.interface import CalibrationFile
from std_daq.imaging.detectors.jungfrau.geometry import (
    COLUMNS,
    ROWS,
    WHOLE_RECTANGLE,
    FrameRows,
    frame_rows,
    grid_of,
)
from std_daq.imaging.detectors.jungfrau.kernels import BLOCK, correct_to_counts, correct_to_energy, spread_double_pixels
from std_daq.imaging.detectors.jungfrau.options import JungfrauOptions
from std_daq.imaging.detectors.jungfrau.packets import ROWS_PER_PACKET, STORAGE_CELL
from std_daq.imaging.detectors.jungfrau.tables import ONLY_CELL, CalibrationTables, load_tables
from std_daq.imaging.detectors.kernels import place_chips
from std_daq.imaging.detectors.module_map import Placement

HIGH_GAIN_BIT = 1
KernelTables = list[tuple[NDArray[np.float32], NDArray[np.float32]]]
"""For each module the table of code 0 and the table of all codes."""


class JungfrauConverter:
    """Converter that places raw pixels; see `std_daq.imaging.detectors.interface.FrameConverter`.

    Parameters
    ----------
    config
        Configuration of the detector.
    options
        The ``detector`` section of the configuration.
    placements
        Placement of each module in the image.
    fill
        Value of pixels that did not arrive, in the type of the image.
    """

    def __init__(
        self, config: DetectorConfig, options: JungfrauOptions, placements: tuple[Placement, ...], fill: Any
    ) -> None:
        self._config = config
        self._options = options
        self._placements = placements
        self._fill = fill
        self._deactivated = frozenset(config.deactivate)
        self._grid = grid_of(placements[0])
        self._are_gaps_spread = self._grid.gap > 0 and options.double_pixels != "keep"
        self._rows = frame_rows(config, options.readnrows)
        self._gaps = np.zeros(config.image_shape, np.bool_)
        for rows in self._rows:
            self._fill_rows(rows, self._gaps, True)
        np.logical_not(self._gaps, out=self._gaps)
        self._compile()

    @property
    def calibration(self) -> tuple[CalibrationFile, ...]:
        """The files whose contents are applied: none for raw pixels."""
        return ()

    def convert(
        self, submodule: int, frame: NDArray[np.uint8], received: NDArray[np.uint64], daq_rec: int, image: NDArray[Any]
    ) -> bool:
        """Write one submodule's pixels into the image; return whether there is a calibration for the frame."""
        rows = self._rows[submodule]
        if rows.module in self._deactivated:
            self.fill(submodule, image)
            return True
        at = self._placements[rows.module]
        steps = at.y_first, at.x_first, at.y_step, at.x_step
        return self._place(rows, frame.view("<u2").reshape(rows.n, COLUMNS), received, daq_rec, image, steps)

    def fill(self, submodule: int, image: NDArray[Any]) -> None:
        """Write the fill value to all pixels of a submodule that are read."""
        self._fill_rows(self._rows[submodule], image, self._fill)

    def fill_gaps(self, image: NDArray[Any]) -> None:
        """Write the fill value to pixels that are not read, and to the gaps between chips if they are kept."""
        image[self._gaps] = self._fill

    def reload(self) -> "JungfrauConverter | None":
        """Return None, because raw pixels need no calibration files."""
        return None

    def _compile(self) -> None:
        """Compile the kernels that `_place` calls, so that no image has to wait for the compiler."""
        place_chips.compile("uint16")

    def _fill_rows(self, rows: FrameRows, image: NDArray[Any], value: Any) -> None:
        rectangle = self._placements[rows.module].view(image)
        if self._are_gaps_spread:
            WHOLE_RECTANGLE.fill(rectangle, value, *rows.in_rectangle(self._grid))
        else:
            self._grid.fill(rectangle, value, rows.first, rows.end)

    def _place(
        self,
        rows: FrameRows,
        raw: NDArray[np.uint16],
        received: NDArray[np.uint64],
        daq_rec: int,  # noqa: ARG002 - raw pixels are placed in the same way in high gain
        image: NDArray[Any],
        steps: tuple[int, int, int, int],
    ) -> bool:
        grid = self._grid
        chips_per_unit = ROWS_PER_PACKET * COLUMNS // grid.chip
        place_chips(raw, received, chips_per_unit, rows.first, grid.chip, grid.gap, image, *steps, self._fill)
        return True


class CorrectingConverter(JungfrauConverter):
    """Converter to energies (float32) or photons (int32).

    The energy of a pixel in keV is ``(float32(adc) - pedestal) * float32(1 / gain)``, computed in float32, with the
    pedestal and gain of the pixel's gain stage. The number of photons is the energy divided by ``factor``, rounded half
    to even and limited to int32.

    A pixel gets the fill value if its gain code is 2 or if it is masked. A whole frame gets it if the files have no
    tables for its storage cell, or if it was taken in high gain and the files have no planes for high gain. A saturated
    pixel (0xC000, or 0x3FFF in high gain) is converted like any other. Its energy is the largest that it can have and
    shows the overload, whereas the fill value would look like no signal.

    Parameters
    ----------
    tables
        Contents of the calibration files; by default the files are read now.
    only_cell
        Storage cell of calibration files that do not name their cells; by default the configured one, otherwise that of
        the first frame.

    Raises
    ------
    CalibrationError
        A calibration file does not fit the detector.
    """

    def __init__(
        self,
        config: DetectorConfig,
        options: JungfrauOptions,
        placements: tuple[Placement, ...],
        fill: Any,
        tables: CalibrationTables | None = None,
        only_cell: int | None = None,
    ) -> None:
        super().__init__(config, options, placements, fill)
        self._tables = load_tables(options, config.n_modules) if tables is None else tables
        self._kernel_tables = {
            cell: (_for_kernels(tables.by_module), _for_kernels(tables.high_gain_by_module))
            for cell, tables in self._tables.cells.items()
        }
        self._has_cells = ONLY_CELL not in self._kernel_tables
        self._only_cell = options.storage_cell if only_cell is None else only_cell
        self._lock = Lock()

    @property
    def calibration(self) -> tuple[CalibrationFile, ...]:
        """The files whose contents are applied."""
        return self._tables.files

    def reload(self) -> "CorrectingConverter | None":
        """Return a converter that has read the present files; None if no file has changed."""
        if self._tables.is_current():
            return None
        return CorrectingConverter(self._config, self._options, self._placements, self._fill, only_cell=self._only_cell)

    def _compile(self) -> None:
        correct = correct_to_energy if self._options.factor is None else correct_to_counts
        correct.compile()
        if self._are_gaps_spread:
            spread_double_pixels.compile("float32" if self._options.factor is None else "int32")

    def _place(
        self,
        rows: FrameRows,
        raw: NDArray[np.uint16],
        received: NDArray[np.uint64],
        daq_rec: int,
        image: NDArray[Any],
        steps: tuple[int, int, int, int],
    ) -> bool:
        grid = self._grid
        tables = self._tables_of(daq_rec)
        if tables is None:
            self._fill_rows(rows, image, self._fill)
            return False
        code_0, table = (one[rows.first : rows.end] for one in tables[rows.module])
        if self._options.factor is None:
            correct_to_energy(
                raw, received, ROWS_PER_PACKET, rows.first, grid.chip, grid.gap, code_0, table, image, *steps,
                self._fill,
            )  # fmt: skip
        else:
            correct_to_counts(
                raw, received, ROWS_PER_PACKET, rows.first, grid.chip, grid.gap, code_0, table, self._options.factor,
                image, *steps, self._fill,
            )  # fmt: skip
        if self._are_gaps_spread:
            is_shared = self._options.double_pixels == "share"
            spread_double_pixels(image, grid.chip, rows.first, rows.end, *steps, is_shared, self._fill)
        return True

    def _tables_of(self, daq_rec: int) -> KernelTables | None:
        """Return the tables for the storage cell and the gain of a frame; None if there are none."""
        cell = STORAGE_CELL.of(daq_rec)
        if self._only_cell is None:
            # Of several modules that are converted at the same time, one must decide for all.
            with self._lock:
                self._only_cell = cell if self._only_cell is None else self._only_cell
        tables = self._kernel_tables.get(cell if self._has_cells else ONLY_CELL)
        if tables is None or (not self._has_cells and cell != self._only_cell):
            return None
        return tables[1 if daq_rec & HIGH_GAIN_BIT else 0]


def _for_kernels(tables: tuple[NDArray[np.float32], ...] | None) -> KernelTables | None:
    """Return for each module the table of code 0 and the table of all codes, in the layout of the kernels."""
    if tables is None:
        return None
    blocks = (table[:, :, 0].reshape(ROWS, -1, BLOCK, 2).swapaxes(2, 3) for table in tables)
    return [(code_0.reshape(ROWS, -1), table.reshape(ROWS, -1)) for code_0, table in zip(blocks, tables, strict=True)]
