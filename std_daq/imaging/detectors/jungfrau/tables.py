"""Pedestals, gains and masks of a JUNGFRAU: loaded, checked, and arranged for the kernels."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from std_daq.errors import CalibrationError, ConfigError
from std_daq.imaging.detectors.interface import CalibrationFile
from std_daq.imaging.detectors.jungfrau.calibration_file import FileStamp, dataset, open_calibration
from std_daq.imaging.detectors.jungfrau.geometry import COLUMNS, ROWS
from std_daq.imaging.detectors.jungfrau.options import JungfrauOptions
from std_daq.imaging.detectors.jungfrau.packets import N_STORAGE_CELLS
from std_daq.imaging.detectors.pixel_mask import MaskBit

N_CODES = 4
# Plane of the files for each gain code; code 2 does not exist.
PLANE_OF_CODE = {0: 0, 1: 1, 3: 2}
PLANE_OF_CODE_IN_HIGH_GAIN = {0: 3, 1: 1, 3: 2}
MASK_CONVENTION = "NXmx"
ONLY_CELL = -1
"""Key of tables whose files do not name their storage cell."""
_N_AXES = 3  # of /gains without storage cells: plane, row, column


@dataclass(frozen=True, slots=True)
class CellTables:
    """Tables of one storage cell.

    Parameters
    ----------
    by_module
        Pedestal and 1/gain of each module, (rows, columns, 4 gain codes, 2). NaN where a pixel has no valid energy.
    high_gain_by_module
        The same for frames in high gain; None if the files have no planes for high gain.
    """

    by_module: tuple[NDArray[np.float32], ...]
    high_gain_by_module: tuple[NDArray[np.float32], ...] | None


@dataclass(frozen=True, slots=True)
class CalibrationTables:
    """Contents of the calibration files.

    Parameters
    ----------
    cells
        Tables of each storage cell, by its number; under `ONLY_CELL` if the pedestal file names no cells.
    files
        The files that were read.
    stamps
        Stamps of the files when they were read.
    """

    cells: Mapping[int, CellTables]
    files: tuple[CalibrationFile, ...]
    stamps: tuple[FileStamp, ...]

    def is_current(self) -> bool:
        """Return whether the files are unchanged since they were read; raises CalibrationError if a file is gone."""
        return all(
            FileStamp.of(stamp.path, file.role) == stamp for stamp, file in zip(self.stamps, self.files, strict=True)
        )


def load_tables(options: JungfrauOptions, n_modules: int) -> CalibrationTables:
    """Read and check pedestal, gain and mask files.

    Pixels that are bad in the mask may have any pedestal and gain. All other pixels must have a finite pedestal and a
    finite gain other than 0.

    Raises
    ------
    CalibrationError
        A file does not fit. The message names the file and dataset, what was found and what was expected.
    """
    if options.pedestal_file is None or options.gain_file is None:
        raise ConfigError("correction needs pedestal_file and gain_file", key="detector")
    mask, mask_files = _read_mask(options, n_modules) if options.has_mask else (None, [])
    is_bad = np.zeros((n_modules, ROWS, COLUMNS), np.bool_) if mask is None else mask != 0
    with (
        open_calibration(options.pedestal_file, "pedestal") as (pedestal_root, pedestal_file, pedestal_stamp),
        open_calibration(options.gain_file, "gain") as (gain_root, gain_file, gain_stamp),
    ):
        pedestals = _cells_of(pedestal_root, (3, 4), n_modules, options.pedestal_file)
        gains = _cells_of(gain_root, (4, 6), n_modules, options.gain_file)
        # A gain file without cells is for all cells. Of pedestals it cannot be, as these differ far more.
        common = gains.get(ONLY_CELL)
        cells = {
            cell: _read_cell(planes, of_cell, is_bad)
            for cell, planes in pedestals.items()
            if (of_cell := gains.get(cell, common)) is not None
        }
        if not cells:
            raise CalibrationError(
                "pedestals and gains are of different storage cells",
                file=options.gain_file,
                key="/storage_cells",
                value=sorted(gains),
                remedy=f"give gains of the cells of the pedestal file: {sorted(pedestals)}",
            )
    if options.apply_mask:
        for tables in cells.values():
            for module, table in enumerate((*tables.by_module, *(tables.high_gain_by_module or ()))):
                table[is_bad[module % n_modules]] = np.nan
    extra = [(file, stamp) for file, stamp in mask_files if file.role == "mask"]
    read = [(pedestal_file, pedestal_stamp), (gain_file, gain_stamp), *extra]
    files, stamps = tuple(file for file, _ in read), tuple(stamp for _, stamp in read)
    return CalibrationTables(cells, files, stamps)


def inverse_gain(gain: NDArray[Any]) -> NDArray[np.float32]:
    """Return 1/gain, computed in float64 and rounded to float32."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        inverse: NDArray[np.float32] = (1 / gain.astype(np.float64)).astype(np.float32)
    return inverse


def load_mask(options: JungfrauOptions, n_modules: int) -> NDArray[np.uint32]:
    """Return the mask of the modules as NXmx bits, (n_modules, 512, 1024); all zeros if no file contains a mask.

    If the attribute ``convention`` of the dataset is ``NXmx``, its values are used unchanged. Other files agree only
    that 0 is a good pixel; there, any other value means a dead pixel.

    Raises
    ------
    CalibrationError
        The file that must contain the mask does not contain it.
    """
    if not options.has_mask:
        return np.zeros((n_modules, ROWS, COLUMNS), np.uint32)
    return _read_mask(options, n_modules)[0]


def _read_mask(
    options: JungfrauOptions, n_modules: int
) -> tuple[NDArray[np.uint32], list[tuple[CalibrationFile, FileStamp]]]:
    role, path = ("mask", options.mask_file) if options.mask_file else ("pedestal", options.pedestal_file)
    if path is None:
        raise ConfigError("no file contains a mask", key="detector.mask_file")
    with open_calibration(path, role) as (file, calibration, stamp):
        found = dataset(file, "/pixel_mask", [(n_modules * ROWS, COLUMNS)], "iub", path)
        values = found[:].reshape(n_modules, ROWS, COLUMNS)
        if found.attrs.get("convention") == MASK_CONVENTION:
            mask = values.astype(np.uint32)
        else:
            mask = np.where(values != 0, np.uint32(MaskBit.DEAD), np.uint32(0))
    return mask, [(calibration, stamp)]


class _CellPlanes(NamedTuple):
    """The planes of one storage cell in the dataset of a file; the cell is None if the dataset has no cells."""

    dataset: Any
    cell: int | None

    @property
    def n_planes(self) -> int:
        n_planes: int = self.dataset.shape[0 if self.cell is None else 1]
        return n_planes

    def read(self, plane: int, rows: slice) -> NDArray[Any]:
        values: NDArray[Any] = self.dataset[plane, rows] if self.cell is None else self.dataset[self.cell, plane, rows]
        return values


def _cells_of(file: Any, n_planes: tuple[int, ...], n_modules: int, path: Path) -> dict[int, _CellPlanes]:
    """Return the planes of each storage cell of a file, by the number of the cell."""
    shapes: list[tuple[int, ...]] = [(n, n_modules * ROWS, COLUMNS) for n in n_planes]
    found = file.get("/gains")
    n_cells = found.shape[0] if getattr(found, "ndim", 0) > _N_AXES else None
    if n_cells is not None:
        shapes = [(n_cells, *shape) for shape in shapes]
    values = dataset(file, "/gains", shapes, "fiu", path)
    if "storage_cells" not in file:
        numbers = [ONLY_CELL] if n_cells is None else list(range(n_cells))
    else:
        numbers = dataset(file, "/storage_cells", [(n_cells or 1,)], "iu", path)[:].tolist()
    if len(set(numbers)) < len(numbers) or not set(numbers) <= {ONLY_CELL, *range(N_STORAGE_CELLS)}:
        raise CalibrationError(
            "these are not the numbers of storage cells",
            file=path,
            key="/storage_cells",
            value=numbers,
            remedy="give each cell once, as a number from 0 to 15",
        )
    return {number: _CellPlanes(values, None if n_cells is None else i) for i, number in enumerate(numbers)}


def _read_cell(pedestals: _CellPlanes, gains: _CellPlanes, is_bad: NDArray[np.bool_]) -> CellTables:
    def tables(plane_of_code: dict[int, int]) -> tuple[NDArray[np.float32], ...]:
        modules = range(len(is_bad))
        return tuple(_read_module(pedestals, gains, module, plane_of_code, is_bad[module]) for module in modules)

    has_high_gain = pedestals.n_planes > PLANE_OF_CODE_IN_HIGH_GAIN[0]
    return CellTables(tables(PLANE_OF_CODE), tables(PLANE_OF_CODE_IN_HIGH_GAIN) if has_high_gain else None)


def _read_module(
    pedestals: _CellPlanes, gains: _CellPlanes, module: int, plane_of_code: dict[int, int], is_bad: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Read the tables of one module; modules are read one by one, as the files of a large detector fill gigabytes."""
    rows = slice(module * ROWS, (module + 1) * ROWS)
    table = np.full((ROWS, COLUMNS, N_CODES, 2), np.nan, np.float32)
    for code, plane in plane_of_code.items():
        pedestal = pedestals.read(plane, rows).astype(np.float32)
        inverse = inverse_gain(gains.read(plane, rows))
        _check(np.isfinite(pedestal) | is_bad, pedestals, plane, rows)
        _check((np.isfinite(inverse) & (inverse != 0)) | is_bad, gains, plane, rows)
        is_usable = np.isfinite(pedestal) & np.isfinite(inverse)
        table[:, :, code, 0] = np.where(is_usable, pedestal, np.nan)
        table[:, :, code, 1] = inverse
    return table


def _check(is_fine: NDArray[np.bool_], found: _CellPlanes, plane: int, rows: slice) -> None:
    if is_fine.all():
        return
    row, column = np.argwhere(~is_fine)[0]
    cell = "" if found.cell is None else f" of the storage cell at index {found.cell}"
    raise CalibrationError(
        f"{np.count_nonzero(~is_fine)} good pixels of rows {rows.start} to {rows.stop - 1} have no usable value in "
        f"plane {plane}{cell}, the first at row {rows.start + row}, column {column}",
        file=found.dataset.file.filename,
        key=found.dataset.name,
        value=float(found.read(plane, rows)[row, column]),
        remedy="mask these pixels in /pixel_mask or mask_file, correct the file, or take what is missing with "
        "std-daq pedestal --add-to",
    )
