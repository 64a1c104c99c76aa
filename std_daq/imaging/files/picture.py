"""A picture (PNG) of the images in a file."""

from pathlib import Path
from typing import Literal

import h5py
import hdf5plugin  # noqa: F401  (registers the filter that decompresses)
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from std_daq.errors import HDF5_ERRORS, FileFormatError
from std_daq.folders.new_file import NewFile
from std_daq.hdf5 import open_growing, open_hdf5
from std_daq.imaging.files import layout
from std_daq.imaging.files.colours import colour
from std_daq.imaging.files.contents import check_layout, read_superblock

_MAX_IMAGES_AVERAGED = 200

What = Literal["mean", "sum"]


def write_picture(file: Path, png: Path, what: What | int = "mean") -> None:
    """Write a picture of a file's images.

    Parameters
    ----------
    file
        Path of an image file or a master file.
    png
        Path of the picture.
    what
        The mean or the sum of the images, or the row of one image. If there are more than 200 images, 200 of them are
        used, evenly spread.

    Raises
    ------
    FileFormatError
        The file has no such image, or cannot be read.
    OSError
        The picture cannot be made.
    """
    picture = Image.fromarray(colour(read_pixels(file, what)))
    with NewFile(png) as new:  # a program that shows the file never reads a half-written picture
        picture.save(new.opened, format="PNG")
        new.replace()


def read_pixels(file: Path, what: What | int = "mean") -> NDArray[np.float32]:
    """Return the pixels that `write_picture` shows, (height, width); NaN for masked pixels and those without value."""
    try:
        is_open = read_superblock(file).can_be_followed
        with open_growing(file) if is_open else open_hdf5(file, "r") as opened:
            check_layout(opened)
            pixels = _reduce(opened[layout.PIXELS], what, file)
            mask = f"{layout.DETECTOR}/pixel_mask"
            if mask in opened:
                pixels[opened[mask][:] != 0] = np.nan
            return pixels
    except HDF5_ERRORS as error:
        raise FileFormatError(f"{file}: cannot be read: {error}") from None


def _reduce(dataset: h5py.Dataset, what: What | int, file: Path) -> NDArray[np.float32]:
    n_images = dataset.shape[0]
    if isinstance(what, int):
        if not 0 <= what < n_images:
            raise FileFormatError(f"{file}: there is no image {what}; the file has {n_images} images (counted from 0)")
        image: NDArray[np.float32] = dataset[what].astype(np.float32)
        return image
    if not n_images:
        raise FileFormatError(f"{file}: the file has no images, so there is nothing to show")
    total = np.zeros(dataset.shape[1:])
    n_values = np.zeros(dataset.shape[1:], np.uint32)
    for row in np.unique(np.linspace(0, n_images - 1, min(n_images, _MAX_IMAGES_AVERAGED)).astype(int)):
        image = dataset[row]
        has_value = np.isfinite(image)
        total += np.where(has_value, image, 0)
        n_values += has_value
    with np.errstate(invalid="ignore"):
        reduced = total / n_values if what == "mean" else np.where(n_values, total, np.nan)
    return reduced.astype(np.float32)
