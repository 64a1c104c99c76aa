"""The pixels of an image file: one chunk an image, written past HDF5's filters and chunk cache."""

from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from std_daq.imaging.files.direct_file import PAGE_BYTES
from std_daq.imaging.files.disk_file import DiskFile

Chunk = bytes | bytearray | memoryview | npt.NDArray[Any]

ALIGN_FROM_BYTES = 64 * 1024
"""Objects of a file that are at least as large begin at a page."""

LEAST_DIRECT_BYTES = 512 * 1024
"""Images of less are sooner copied into the page cache than handed to a disk."""


def create_pixels(
    group: h5py.Group, name: str, shape: tuple[int, int], dtype: npt.DTypeLike, filters: dict[str, Any]
) -> h5py.Dataset:
    """Create a dataset of images, without an image; `filters` are those of h5py, none for plain pixels.

    The space of pixels that may go past the page cache is allocated as soon as there is a row for them, and is not
    filled: so their place in the file is known before they are written.
    """
    height, width = shape
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    if not filters and height * width * np.dtype(dtype).itemsize >= LEAST_DIRECT_BYTES:
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
    """The images of a dataset made by `create_pixels`, as far as they are written; used from one thread.

    Parameters
    ----------
    file
        The file.
    dataset
        Its pixels.
    disk
        The file as the file system sees it.
    image_bytes
        Bytes of plain pixels; None for compressed ones.
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
        """Write a row, the last one; returns whether the pixels went past the page cache, as was asked.

        Raises
        ------
        OSError, RuntimeError
            From the system, or from HDF5.
        """
        offset = self._make_room(row)
        if past_page_cache and offset is not None and isinstance(chunk, np.ndarray):
            address = int(chunk.__array_interface__["data"][0])
            if self._disk.write_direct(offset, chunk.data.cast("B"), address):
                return True
        self._dataset.write_direct_chunk((row, 0, 0), chunk)
        return False

    def cut(self, n_rows: int) -> None:
        """Have exactly so many rows, all of them written."""
        self._dataset.set_extent((n_rows, *self._shape))
        self._last_row = -1

    def flush(self) -> None:
        """Have HDF5 write what it knows of them."""
        self._dataset.flush()

    def _make_room(self, row: int) -> int | None:
        """Have `row` be the last one; returns where its pixels lie in the file if that is certain.

        HDF5 tells the place of a chunk only after a walk through all of them. But if the file has grown by exactly one
        image, behind its end and the rest of that page, then that is where it lies. Once in some hundred images HDF5
        makes room for more than the pixels.
        """
        if row == self._last_row:  # taken back: the room is still there
            return self._last_offset
        self._last_row, self._last_offset = row, None
        if self._image_bytes is None or self._image_bytes < LEAST_DIRECT_BYTES:
            self._dataset.set_extent((row + 1, *self._shape))
            return None
        offset = -(-self._file.get_filesize() // PAGE_BYTES) * PAGE_BYTES
        self._dataset.set_extent((row + 1, *self._shape))
        if self._file.get_filesize() == offset + self._image_bytes:
            self._last_offset = offset
        return self._last_offset
