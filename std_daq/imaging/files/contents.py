"""Reading of image files: metadata of the run and of each image, and the number of rows that are really stored."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  (registers the filter that decompresses)
import numpy as np
import numpy.typing as npt

from std_daq.errors import HDF5_ERRORS, FileFormatError
from std_daq.imaging.files import layout
from std_daq.imaging.files.sample import moving_axes
from std_daq.imaging.files.texts import decode_text
from std_daq.imaging.image_faults import FaultCounter
from std_daq.imaging.protocols.image_metadata import ImageStatus
from std_daq.recording.superblock import N_BYTES, Superblock

Columns = Mapping[str, npt.NDArray[Any]]

# The errors that are raised if something in a file is damaged or missing.
UNREADABLE: tuple[type[Exception], ...] = (FileFormatError, *HDF5_ERRORS)


def read_superblock(path: Path) -> Superblock:
    """Read the superblock of a file.

    Raises
    ------
    FileFormatError
        The file was not written by std-daq.
    OSError
        The file cannot be read.
    """
    if path.exists() and not path.is_file():  # to open a pipe would wait for another program
        raise FileFormatError(f"{path}: this is no file, but a folder, pipe, device or socket")
    with path.open("rb") as file:
        start = file.read(N_BYTES)
    try:
        return Superblock.parse(start)
    except FileFormatError as error:
        raise FileFormatError(f"{path}: {error}") from None


def check_layout(file: h5py.File) -> None:
    """Check that a file was written by std-daq and has all datasets with one row per image.

    Raises
    ------
    FileFormatError
        The file does not fit; the message says what is missing.
    """
    if layout.LAYOUT_VERSION not in file:
        raise FileFormatError(f"{file.filename}: not an image file of std-daq ({layout.LAYOUT_VERSION} is missing)")
    version = int(file[layout.LAYOUT_VERSION][()])
    if version > layout.CURRENT_LAYOUT_VERSION:
        raise FileFormatError(
            f"{file.filename}: layout version {version} is newer than this program, which knows "
            f"{layout.CURRENT_LAYOUT_VERSION}"
        )
    missing = [path for path in (layout.PIXELS, *layout.per_image(version)) if path not in file]
    if missing:
        raise FileFormatError(f"{file.filename}: {', '.join(missing)} missing")


def read_text(file: h5py.File, path: str) -> str:
    """Return a text that is stored in the file."""
    return decode_text(file[path][()])


def read_columns(file: h5py.File, n_rows: int | None = None) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays with one row per image, with all rows or with the first `n_rows`."""
    return {path: file[path][:n_rows] for path in columns_of(file)}


def columns_of(file: h5py.File) -> tuple[str, ...]:
    """Return the paths of the arrays with one row per image that a file has; older files have fewer."""
    own = tuple(f"{layout.OWN_COLUMNS}/{name}" for name in file.get(layout.OWN_COLUMNS, ()))
    return (*layout.per_image(int(file[layout.LAYOUT_VERSION][()])), *moving_axes(file), *own)


def count_faults(columns: Columns) -> FaultCounter:
    """Return the counts of the images that are not good, from their statuses and missing packets."""
    counter = FaultCounter()
    missing = columns[layout.MISSING_PACKETS]
    lacks = np.where(missing > 0, int(ImageStatus.MISSING_PACKETS), 0)
    if layout.MODULE_STATUS in columns:
        of_modules = columns[layout.MODULE_STATUS] | lacks
    else:  # layout version 1
        of_modules = lacks | np.where(missing > 0, int(ImageStatus.MISSING_MODULES), 0)
    status = columns[layout.STATUS] | np.where(missing.any(axis=1), int(ImageStatus.MISSING_PACKETS), 0)
    for i in np.flatnonzero(status).tolist():
        faults = ImageStatus(int(status[i]))
        modules = {fault: np.flatnonzero(of_modules[i] & int(fault)).tolist() for fault in faults}
        uncalibrated = modules.get(ImageStatus.NOT_CALIBRATED)
        cells = np.unique(columns[layout.MODULE_STORAGE_CELL][i, uncalibrated]).tolist() if uncalibrated else ()
        counter.add(faults, modules, cells=cells)
    return counter


def count_stored_rows(dataset: h5py.Dataset) -> int:
    """Return how many rows, from the first on, are stored in the file, whatever length the dataset claims.

    This is needed because HDF5 returns zeros, without any error, for a row whose chunk was never written.
    """
    rows_per_chunk: int = dataset.chunks[0]
    n_rows: int = dataset.shape[0]
    n_file_bytes = Path(dataset.file.filename).stat().st_size
    n_chunks = -(-n_rows // rows_per_chunk)
    is_stored = np.zeros(n_chunks + 1, bool)  # one more, which stays false and ends the search

    def visit(chunk: Any) -> None:
        number = chunk.chunk_offset[0] // rows_per_chunk
        if number < n_chunks and chunk.byte_offset is not None:
            is_stored[number] = chunk.byte_offset + chunk.size <= n_file_bytes

    if n_chunks:
        dataset.id.chunk_iter(visit)
    return min(int(np.argmin(is_stored)) * rows_per_chunk, n_rows)
