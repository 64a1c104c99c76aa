"""Pedestals, gains and masks of a JUNGFRAU: loaded, checked, and arranged for the kernels."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.errors import CalibrationError, ConfigError
from std_daq.imaging.detectors.interface import CalibrationFile
from std_daq.imaging.detectors.jungfrau.calibration_file import FileStamp, dataset, open_calibration
from std_daq.imaging.detectors.jungfrau.geometry import COLUMNS, ROWS
from std_daq.imaging.detectors.jungfrau.options import JungfrauOptions
from std_daq.imaging.detectors.pixel_mask import MaskBit

N_CODES = 4
# Plane of the files for each gain code; code 2 does not exist.
PLANE_OF_CODE = {0: 0, 1: 1, 3: 2}
PLANE_OF_CODE_IN_HIGH_GAIN = {0: 3, 1: 1, 3: 2}
MASK_CONVENTION = "NXmx"


@dataclass(frozen=True, slots=True)
class CalibrationTables:
    """Contents of the calibration files.

    Parameters
    ----------
    by_module
        Pedestal and 1/gain of each module, (rows, columns, 4 gain codes, 2). NaN where a pixel has no valid energy.
    high_gain_by_module
        The same for frames in high gain; None if the files have no planes for high gain.
    files
        The files that were read.
    stamps
        Stamps of the files when they were read.
    """

    by_module: tuple[NDArray[np.float32], ...]
    high_gain_by_module: tuple[NDArray[np.float32], ...] | None
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
        pedestals = dataset(pedestal_root, "/gains", _shapes((3, 4), n_modules), "fiu", options.pedestal_file)
        gains = dataset(gain_root, "/gains", _shapes((4, 6), n_modules), "fiu", options.gain_file)

        def tables(plane_of_code: dict[int, int]) -> tuple[NDArray[np.float32], ...]:
            read = (
                _read_module(pedestals, gains, module, plane_of_code, is_bad[module]) for module in range(n_modules)
            )
            return tuple(read)

        by_module = tables(PLANE_OF_CODE)
        has_high_gain = pedestals.shape[0] > PLANE_OF_CODE_IN_HIGH_GAIN[0]
        high_gain_by_module = tables(PLANE_OF_CODE_IN_HIGH_GAIN) if has_high_gain else None
    if options.apply_mask:
        for module, table in enumerate((*by_module, *(high_gain_by_module or ()))):
            table[is_bad[module % n_modules]] = np.nan
    extra = [(file, stamp) for file, stamp in mask_files if file.role == "mask"]
    read = [(pedestal_file, pedestal_stamp), (gain_file, gain_stamp), *extra]
    files, stamps = tuple(file for file, _ in read), tuple(stamp for _, stamp in read)
    return CalibrationTables(by_module, high_gain_by_module, files, stamps)


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


def _shapes(n_planes: tuple[int, ...], n_modules: int) -> list[tuple[int, ...]]:
    return [(n, n_modules * ROWS, COLUMNS) for n in n_planes]


def _read_module(
    pedestals: Any, gains: Any, module: int, plane_of_code: dict[int, int], is_bad: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Read the tables of one module; modules are read one by one, as the files of a large detector fill gigabytes."""
    rows = slice(module * ROWS, (module + 1) * ROWS)
    table = np.full((ROWS, COLUMNS, N_CODES, 2), np.nan, np.float32)
    for code, plane in plane_of_code.items():
        pedestal = pedestals[plane, rows].astype(np.float32)
        inverse = inverse_gain(gains[plane, rows])
        _check(np.isfinite(pedestal) | is_bad, pedestals, plane, rows)
        _check((np.isfinite(inverse) & (inverse != 0)) | is_bad, gains, plane, rows)
        is_usable = np.isfinite(pedestal) & np.isfinite(inverse)
        table[:, :, code, 0] = np.where(is_usable, pedestal, np.nan)
        table[:, :, code, 1] = inverse
    return table


def _check(is_fine: NDArray[np.bool_], found: Any, plane: int, rows: slice) -> None:
    if is_fine.all():
        return
    row, column = np.argwhere(~is_fine)[0]
    raise CalibrationError(
        f"{np.count_nonzero(~is_fine)} good pixels of rows {rows.start} to {rows.stop - 1} have no usable value in "
        f"plane {plane}, the first at row {rows.start + row}, column {column}",
        file=found.file.filename,
        key=found.name,
        value=float(found[plane, rows.start + row, column]),
        remedy="mask these pixels in /pixel_mask or mask_file, or correct the file",
    )
