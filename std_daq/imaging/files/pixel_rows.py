"""The pixels of an image file: one chunk per image, written past HDF5's filters and chunk cache."""

from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from std_daq.recording.direct_file import PAGE_BYTES
from std_daq.recording.disk_file import DiskFile

Chunk = bytes | bytearray | memoryview | npt.NDArray[Any]

ALIGN_FROM_BYTES = 64 * 1024
"""Objects in a file that have at least this size begin at a page."""

MIN_DIRECT_BYTES = 512 * 1024
"""Smallest size of an image that is written past the page cache; copying a smaller one into the cache takes less time
than a write to the disk."""


def create_pixels(
    group: h5py.Group, name: str, shape: tuple[int, int], dtype: npt.DTypeLike, filters: dict[str, Any]
) -> h5py.Dataset:
    """Create a dataset for images, without images; `filters` are h5py's options, empty for uncompressed pixels.

    For pixels that may be written past the page cache, HDF5 allocates the space of a row when the row is created, and
    does not fill it. So the offset of the pixels in the file is known before they are written.
    """
    height, width = shape
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    if not filters and height * width * np.dtype(dtype).itemsize >= MIN_DIRECT_BYTES:
        properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    return group.create_dataset(
        name,
        shape=(0, height, width),
        maxshape=(None, height, width),
        chunks=(1, height, width),
        dtype=np.dtype(dtype).newbyteorder("<"),
        dcpl=properties,
        **filters,
    )


class PixelRows:
    """Writer of images into a dataset made by `create_pixels`; used from one thread only.

    Parameters
    ----------
    file
        The HDF5 file.
    dataset
        Dataset of the pixels.
    disk
        The same file at the level of the file system.
    image_bytes
        Size of an image in bytes; None for compressed pixels.
    """

    def __init__(self, file: h5py.File, dataset: h5py.Dataset, disk: DiskFile, image_bytes: int | None) -> None:
        self._file = file.id
        self._dataset = dataset.id
        self._shape = dataset.shape[1:]
        self._disk = disk
        self._image_bytes = image_bytes
        self._last_row = -1
        self._last_offset: int | None = None

    def write(self, row: int, chunk: Chunk, *, past_page_cache: bool) -> bool:
        """Write the last row; return whether its pixels were written past the page cache.

        Raises
        ------
        OSError, RuntimeError
            The system or HDF5 reports an error.
        """
        offset = self._make_room(row)
        if past_page_cache and offset is not None and isinstance(chunk, np.ndarray):
            address = int(chunk.__array_interface__["data"][0])
            if self._disk.write_direct(offset, chunk.data.cast("B"), address):
                return True
        self._dataset.write_direct_chunk((row, 0, 0), chunk)
        return False

    def cut(self, n_rows: int) -> None:
        """Set the number of rows, all of which must have been written."""
        self._dataset.set_extent((n_rows, *self._shape))
        self._last_row = -1

    def flush(self) -> None:
        """Make HDF5 write the metadata of the dataset."""
        self._dataset.flush()

    def _make_room(self, row: int) -> int | None:
        """Make `row` the last row; return the offset of its pixels in the file if it is certain, else None.

        HDF5 finds the offset of a chunk only by a search through all chunks. But the offset is certain if the file has
        grown by exactly one image from the next page boundary on: the new space is that of the image. Once in some
        hundred images, HDF5 allocates space for its own data, too, and the offset is not certain.
        """
        if row == self._last_row:  # the image was removed by drop_last; its space is still there
            return self._last_offset
        self._last_row, self._last_offset = row, None
        if self._image_bytes is None or self._image_bytes < MIN_DIRECT_BYTES:
            self._dataset.set_extent((row + 1, *self._shape))
            return None
        offset = -(-self._file.get_filesize() // PAGE_BYTES) * PAGE_BYTES
        self._dataset.set_extent((row + 1, *self._shape))
        if self._file.get_filesize() == offset + self._image_bytes:
            self._last_offset = offset
        return self._last_offset
