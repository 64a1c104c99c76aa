"""Writing and reading of pedestal files, which `std_daq.imaging.detectors.jungfrau.tables` loads."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from std_daq.errors import HDF5_ERRORS, ConfigError
from std_daq.folders.new_file import NewFile
from std_daq.imaging.detectors.jungfrau.calibration_file import dataset, open_calibration
from std_daq.imaging.detectors.jungfrau.geometry import COLUMNS, ROWS
from std_daq.imaging.detectors.jungfrau.packets import N_STORAGE_CELLS
from std_daq.imaging.detectors.jungfrau.pedestal import STAGE_NAMES, PedestalResult
from std_daq.imaging.detectors.jungfrau.tables import MASK_CONVENTION

# Datasets that each storage cell has, and the fields of a PedestalResult.
_DATASETS = {"gains": "mean", "rms": "rms", "n_samples": "n_samples", "n_frames": "n_frames"}


def write_pedestal_file(
    path: Path,
    results: Mapping[int, PedestalResult],
    *,
    attributes: dict[str, Any] | None = None,
    overwrite: bool = False,
) -> None:
    """Write ``/gains`` (the pedestals), ``/pixel_mask``, ``/rms``, ``/n_samples``, ``/n_frames``, ``/storage_cells``.

    With several storage cells, ``/gains``, ``/rms``, ``/n_samples`` and ``/n_frames`` have one more axis in front. The
    mask is for all cells: a pixel is bad if it is bad in one of them.

    The file gets its name only when it is complete, so a service that reloads it never reads an incomplete file.

    Parameters
    ----------
    results
        Pedestals of each storage cell, by its number; all with the same number of planes.
    attributes
        Attributes of the file, for example where and when it was measured.
    overwrite
        Whether to replace an existing file.

    Raises
    ------
    ConfigError
        The file exists, or cannot be written.
    """
    import h5py

    if path.exists() and not overwrite:
        raise _exists(path)
    try:
        with NewFile(path) as new:
            with h5py.File(new.opened, "w") as file:
                file.attrs.update(attributes or {})
                _write_results(file, results)
            if overwrite:
                new.replace()
            else:
                new.appear()
    except FileExistsError:
        raise _exists(path) from None
    except HDF5_ERRORS as error:
        raise ConfigError(f"the pedestal file cannot be written: {error}", file=path) from None


def _write_results(file: Any, results: Mapping[int, PedestalResult]) -> None:
    cells = sorted(results)
    first = results[cells[0]]
    for name, field in _DATASETS.items():
        values = getattr(first, field)
        shape = values.shape if len(cells) == 1 else (len(cells), *values.shape)
        made = file.create_dataset(name, shape, values.dtype)
        for i, cell in enumerate(cells):
            made[... if len(cells) == 1 else i] = getattr(results[cell], field)
        if name != "n_frames":
            made.attrs["planes"] = ", ".join(STAGE_NAMES[: len(first.mean)])
    file["gains"].attrs["units"] = file["rms"].attrs["units"] = "ADU"
    file["storage_cells"] = np.array(cells, np.uint8)
    file["pixel_mask"] = np.bitwise_or.reduce([result.pixel_mask for result in results.values()])
    file["pixel_mask"].attrs["convention"] = MASK_CONVENTION


def read_pedestal_file(path: Path, n_modules: int) -> dict[int, PedestalResult]:
    """Read a file that `write_pedestal_file` has written; returns the pedestals of each storage cell.

    Raises
    ------
    CalibrationError
        The file cannot be read, lacks a dataset, or is of another number of modules.
    """
    shapes: list[tuple[int, ...]] = [(n, n_modules * ROWS, COLUMNS) for n in (3, 4)]
    with open_calibration(path, "pedestal") as (file, _, _):
        cells = dataset(file, "/storage_cells", [(n,) for n in range(1, N_STORAGE_CELLS + 1)], "iu", path)[:].tolist()
        if len(cells) > 1:
            shapes = [(len(cells), *shape) for shape in shapes]
        planes = dataset(file, "/gains", shapes, "f", path).shape[-3]
        head = () if len(cells) == 1 else (len(cells),)
        of_pixels, of_modules = (*head, planes, n_modules * ROWS, COLUMNS), (*head, n_modules, planes)
        found = {
            field: dataset(file, f"/{name}", [of_modules if name == "n_frames" else of_pixels], "fiu", path)
            for name, field in _DATASETS.items()
        }
        mask = dataset(file, "/pixel_mask", [(n_modules * ROWS, COLUMNS)], "iu", path)[:]
        return {
            cell: PedestalResult(
                pixel_mask=mask, **{field: values[... if not head else i] for field, values in found.items()}
            )
            for i, cell in enumerate(cells)
        }


def _exists(path: Path) -> ConfigError:
    return ConfigError("the file exists", file=path, remedy="give another name, or say that it may be overwritten")
