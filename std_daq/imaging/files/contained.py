"""Reading one image of a file that somebody else may have made or replaced, for a reader who may read more than they.

What leads to other files is not followed: links in the folders, links in HDF5, data outside the file. A master is read
as a run makes it: its images lie in files of its own folder, each of which is opened and checked in the same way.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  (registers the filter that decompresses)
import numpy as np
from numpy.typing import NDArray

from std_daq.errors import HDF5_ERRORS, FileFormatError
from std_daq.folders.open_folder import OpenFolder, open_beneath
from std_daq.hdf5 import open_growing, open_hdf5
from std_daq.imaging.files import layout
from std_daq.recording.superblock import N_BYTES, Superblock

_ALL = 1 << 62


def read_contained(roots: Sequence[Path], file: Path, row: int) -> NDArray[np.float32]:
    """Return the pixels of one image, (height, width); NaN for masked pixels and those without value.

    Parameters
    ----------
    roots
        Folders in which the file has to lie; if there are none, it may lie anywhere.
    file
        Path of an image file or a master file.
    row
        Row of the image, counted from 0.

    Raises
    ------
    FileFormatError
        The file has no such image, is damaged, or leads to other files.
    OSError
        The file lies outside the roots, is a link or no file, or cannot be read.
    """
    try:
        with open_beneath(roots, file.parent) as folder, _opened(folder, file) as opened:
            return _masked(_row(folder, file, _images(opened, file), row), opened, file)
    except HDF5_ERRORS as error:
        if isinstance(error, OSError) and error.filename:  # not of HDF5, which tells the name in the text
            raise
        raise FileFormatError(f"{file}: cannot be read: {error}") from None


@contextmanager
def _opened(folder: OpenFolder, file: Path) -> Iterator[h5py.File]:
    """Open a file of a folder: the descriptor that was checked is the one that HDF5 reads."""
    fd = folder.open_file(file.name, os.O_RDONLY)
    try:
        path = Path(f"/proc/self/fd/{fd}")
        try:
            is_open = Superblock.parse(os.pread(fd, N_BYTES, 0)).can_be_followed
        except FileFormatError as error:
            raise FileFormatError(f"{file}: {error}") from None
        with open_growing(path) if is_open else open_hdf5(path, "r") as opened:
            yield opened
    finally:
        os.close(fd)


def _own_dataset(opened: h5py.File, path: str, file: Path) -> h5py.Dataset | None:
    """Return a dataset that lies in this very file; None if there is none."""
    place: Any = opened
    for name in path.strip("/").split("/"):
        link = place.get(name, getlink=True) if isinstance(place, h5py.Group) else None
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            raise FileFormatError(f"{file}: {path} leads elsewhere, which is not followed here")
        place = place[name]
    if not isinstance(place, h5py.Dataset) or place.external:
        raise FileFormatError(f"{file}: {path} is no dataset of this file")
    return place


def _images(opened: h5py.File, file: Path) -> h5py.Dataset:
    dataset = _own_dataset(opened, layout.PIXELS, file)
    if dataset is None:
        raise FileFormatError(f"{file}: not an image file of std-daq ({layout.PIXELS} is missing)")
    if dataset.ndim != 3 or dataset.dtype.kind not in "iuf":
        raise FileFormatError(f"{file}: {layout.PIXELS} are no images")
    return dataset


def _masked(pixels: NDArray[np.float32], opened: h5py.File, file: Path) -> NDArray[np.float32]:
    mask = _own_dataset(opened, layout.PIXEL_MASK, file)
    if mask is None:
        return pixels
    if mask.is_virtual:
        raise FileFormatError(f"{file}: {layout.PIXEL_MASK} leads elsewhere, which is not followed here")
    if mask.shape != pixels.shape:
        raise FileFormatError(f"{file}: the mask has another shape than the images: the file is damaged")
    pixels[mask[:] != 0] = np.nan
    return pixels


def _row(folder: OpenFolder, file: Path, dataset: h5py.Dataset, row: int) -> NDArray[np.float32]:
    if not 0 <= row < dataset.shape[0]:
        n_images = dataset.shape[0]
        raise FileFormatError(f"{file}: there is no image {row}; the file has {n_images} images (counted from 0)")
    if not dataset.is_virtual:
        image: NDArray[np.float32] = dataset[row].astype(np.float32)
        return image
    name, row_there = _source(file, dataset, row)
    data_file = file.with_name(name)
    with _opened(folder, data_file) as opened:
        there = _images(opened, data_file)
        if there.is_virtual or there.shape[1:] != dataset.shape[1:]:
            raise FileFormatError(f"{data_file}: no data file of {file.name}")
        return _row(folder, data_file, there, row_there)


def _source(file: Path, dataset: h5py.Dataset, row: int) -> tuple[str, int]:
    """Return the data file that has a row of a master, and its row there."""
    for source in dataset.virtual_sources():
        first, stride, count, block = _slab(source.vspace)
        nth, offset = divmod(row - first, stride)
        if not (0 <= nth < count and offset < block):
            continue
        first, stride, _, block_there = _slab(source.src_space)
        nth, offset = divmod(nth * block + offset, block_there)
        name = source.file_name.replace("%%", "%")
        if "/" in name or name in {".", ".."} or source.dset_name != layout.PIXELS:
            raise FileFormatError(f"{file}: its images lie in {name}, which is no file beside it")
        return name, first + nth * stride + offset
    raise FileFormatError(f"{file}: image {row} is in none of its data files")


def _slab(space: Any) -> tuple[int, int, int, int]:
    """Return first row, stride, count and block of the rows that are selected."""
    if space.get_select_type() == h5py.h5s.SEL_ALL:
        return 0, _ALL, 1, _ALL
    try:
        first, stride, count, block = (int(axis[0]) for axis in space.get_regular_hyperslab())
    except ValueError:
        raise ValueError("its images are put together in a way that std-daq does not write") from None
    return first, stride if count > 1 else block, count, block
