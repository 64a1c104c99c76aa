"""ImageColumns: the arrays of an image file with one row per image, written in blocks of many images."""

import math
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from h5py import h5s

from std_daq.imaging.files import layout
from std_daq.imaging.files.checksums import metadata_checksums
from std_daq.imaging.files.description import ImageFileDescription
from std_daq.imaging.files.nexus import describe_status
from std_daq.imaging.files.sample import axis_path
from std_daq.imaging.files.texts import write_text_attribute
from std_daq.imaging.protocols.image_metadata import IMAGE_METADATA, ImageMetadata, encode_image_metadata
from std_daq.imaging.protocols.module_entry import MODULE_ENTRY

_CHUNK_BYTES = 64 * 1024
COLUMN_CACHE_BYTES = 4 * _CHUNK_BYTES  # for each array; only the last chunk of an array is needed again
_MAX_WAITING = 1024
_CHECKSUM_BYTES = 8
_POSITION_BYTES = 8  # of an axis, for one image


class ImageColumns:
    """The arrays with one row per image of a file that is open for writing.

    Rows wait in memory until `write` is called. The datasets stay open as long as the file, because HDF5 crashes if a
    write fails while it closes a dataset.

    Parameters
    ----------
    file
        The file, whose arrays were made by `create_columns`.
    description
        Description of the file.

    Attributes
    ----------
    n_written
        Number of images whose rows are written.
    """

    def __init__(self, file: h5py.File, description: ImageFileDescription) -> None:
        self.n_written = 0
        self._own = description.own_columns
        self._axes = {axis_path(axis): axis for axis in description.nexus.axes if axis.is_moving}
        own = () if self._own is None else (f"{layout.OWN_COLUMNS}/{name}" for name in self._own.columns)
        # In the order in which they are written: the image ids last.
        self._columns = {name: file[name] for name in (*self._axes, *own, *layout.CHECKSUM_COLUMNS, *layout.PER_IMAGE)}
        self._images = np.zeros(_MAX_WAITING, IMAGE_METADATA)
        self._modules = np.zeros((_MAX_WAITING, description.n_modules), MODULE_ENTRY)
        self._exposures = np.zeros(_MAX_WAITING, np.int64)
        self._checksums = np.zeros(_MAX_WAITING, np.uint64)

    def has_room(self, n_images: int) -> bool:
        """Return whether a row can wait behind those of ``n_images`` images."""
        return n_images - self.n_written < _MAX_WAITING

    def put(
        self, row: int, metadata: ImageMetadata, modules: npt.NDArray[np.void], i_exposure: int, checksum: int
    ) -> None:
        """Let a row wait; it takes the place of one that waits with the same number.

        Parameters
        ----------
        row
            Number of the row, not yet written.
        metadata
            Metadata of the image.
        modules
            ModuleEntry of each module, (n_modules,).
        i_exposure
            Number of the exposure in the run; positions of axes follow from it.
        checksum
            Checksum of the image's chunk.
        """
        waiting = row - self.n_written
        self._images[waiting] = np.frombuffer(encode_image_metadata(metadata), IMAGE_METADATA)[0]
        self._modules[waiting] = modules
        self._exposures[waiting] = i_exposure
        self._checksums[waiting] = checksum

    def write(self, n_images: int) -> None:
        """Write the rows up to that of the last of ``n_images`` images, the image ids last."""
        n_waiting = n_images - self.n_written
        if not n_waiting:
            return
        rows = self._waiting_rows(n_waiting)
        rows[layout.METADATA_CHECKSUM] = metadata_checksums(rows)
        for name, dataset in self._columns.items():
            _append(dataset, self.n_written, rows[name])
        self.n_written = n_images

    def _waiting_rows(self, n: int) -> dict[str, npt.NDArray[Any]]:
        """Return the first rows that wait, by path and with the types of the file, without their checksums."""
        rows: dict[str, npt.NDArray[Any]] = {layout.IMAGE_CHECKSUM: self._checksums[:n]}
        for name, axis in self._axes.items():
            rows[name] = axis.positions(self._exposures[:n])
        if self._own is not None:
            for name, own_rows in self._own.compute(self._modules[:n]).items():
                rows[f"{layout.OWN_COLUMNS}/{name}"] = own_rows
        for name, field in layout.PER_IMAGE.items():
            rows[name] = (self._modules if name in layout.PER_MODULE else self._images)[field][:n]
        return {name: np.ascontiguousarray(column, self._columns[name].dtype) for name, column in rows.items()}


def _append(dataset: h5py.Dataset, first: int, rows: npt.NDArray[Any]) -> None:
    """Write the last rows of a dataset; several times as fast as by h5py's selections."""
    place = dataset.id
    place.set_extent((first + len(rows), *rows.shape[1:]))
    space = place.get_space()
    space.select_hyperslab((first, *(0 for _ in rows.shape[1:])), rows.shape)
    place.write(h5s.create_simple(rows.shape), space, rows)


def create_columns(file: h5py.File, description: ImageFileDescription) -> None:
    """Create the arrays with one row per image, without rows."""
    for name in layout.PER_IMAGE:
        row = (description.n_modules,) if name in layout.PER_MODULE else ()
        _create_column(file, name, layout.dtype_of(name), row)
    for name in layout.CHECKSUM_COLUMNS:
        _create_column(file, name, np.dtype("<u8"), ())
    describe_status(file[layout.STATUS])
    describe_status(file[layout.MODULE_STATUS])
    write_text_attribute(file[layout.TIMESTAMP_NS], "units", "ns")
    if description.timestamp_units:
        for name in (layout.DETECTOR_TIMESTAMP, layout.MODULE_DETECTOR_TIMESTAMP):
            write_text_attribute(file[name], "units", description.timestamp_units)
    if description.own_columns is None:
        return
    write_text_attribute(file.create_group(layout.OWN_COLUMNS), "NX_class", "NXcollection")
    for name, column in description.own_columns.columns.items():
        path = f"{layout.OWN_COLUMNS}/{name}"
        _create_column(file, path, column.dtype, (description.n_modules,) if column.is_per_module else ())
        if column.units:
            write_text_attribute(file[path], "units", column.units)


def _create_column(file: h5py.File, path: str, dtype: np.dtype[Any], row: tuple[int, ...]) -> None:
    row_bytes = dtype.itemsize * math.prod(row)
    n_rows = max(1, min(layout.COLUMN_CHUNK_ROWS, _CHUNK_BYTES // row_bytes))
    file.create_dataset(path, shape=(0, *row), maxshape=(None, *row), chunks=(n_rows, *row), dtype=dtype)


def room_of_columns(description: ImageFileDescription) -> int:
    """Return how much space the rows that wait take at most, in bytes."""
    row_bytes = sum(
        layout.dtype_of(name).itemsize * (description.n_modules if name in layout.PER_MODULE else 1)
        for name in layout.PER_IMAGE
    )
    row_bytes += _CHECKSUM_BYTES * len(layout.CHECKSUM_COLUMNS)
    row_bytes += sum(_POSITION_BYTES for axis in description.nexus.axes if axis.is_moving)
    if description.own_columns is not None:
        for column in description.own_columns.columns.values():
            row_bytes += column.dtype.itemsize * (description.n_modules if column.is_per_module else 1)
    return _MAX_WAITING * row_bytes
