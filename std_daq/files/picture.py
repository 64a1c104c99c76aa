"""A picture (PNG) of the images of a file, for people."""

from pathlib import Path
from typing import Any, Literal

import h5py
import hdf5plugin  # noqa: F401  (registers the filter that decompresses)
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from std_daq.errors import FileFormatError
from std_daq.files import layout
from std_daq.files.contents import check_layout, read_superblock

# Dark blue over green to yellow, even steps of brightness; pixels without a value are grey.
_COLOURS = ((0.0, 68, 1, 84), (0.25, 59, 82, 139), (0.5, 33, 145, 140), (0.75, 94, 201, 98), (1.0, 253, 231, 37))
_NO_VALUE = (110, 110, 110)
# Percentiles: a few hot pixels must not leave the rest black, and a few photons must be seen where all else is dark.
_DARKEST, _BRIGHTEST = 1.0, (99.0, 99.9, 100.0)
_MOST_AVERAGED = 200

What = Literal["mean", "sum"]


def write_picture(file: Path, png: Path, what: What | int = "mean") -> None:
    """Write a picture of a file's images.

    Parameters
    ----------
    file
        The image file, or a master.
    png
        Where to.
    what
        The mean or the sum over the images (over at most 200 of them, evenly chosen), or the row of one image.

    Raises
    ------
    FileFormatError
        The file has no such image, or cannot be read.
    """
    Image.fromarray(colour(read_pixels(file, what))).save(png, format="PNG")


def read_pixels(file: Path, what: What | int = "mean") -> NDArray[np.float32]:
    """Return the pixels that `write_picture` shows, (height, width); NaN where none has a value or the mask says so."""
    try:
        is_open = read_superblock(file).can_be_followed
        with h5py.File(file, "r", swmr=is_open, locking="best-effort") as opened:
            check_layout(opened)
            pixels = _reduce(opened[layout.PIXELS], what, file)
            mask = f"{layout.DETECTOR}/pixel_mask"
            if mask in opened:
                pixels[opened[mask][:] != 0] = np.nan
            return pixels
    except OSError as error:
        raise FileFormatError(f"{file}: cannot be read: {error}") from None


def colour(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Return pixels as colours, (height, width, 3): from the 1st to the 99th percentile of those with a value.

    Where these are the same, to a higher percentile.
    """
    has_value = np.isfinite(pixels)
    shown = np.full((*pixels.shape, 3), _NO_VALUE, np.uint8)
    if has_value.any():
        low, *highs = np.percentile(pixels[has_value], (_DARKEST, *_BRIGHTEST))
        high = next((high for high in highs if high > low), low)
        share = np.clip((pixels[has_value] - low) / max(high - low, np.finfo(np.float32).tiny), 0.0, 1.0)
        places, *channels = zip(*_COLOURS, strict=True)
        shown[has_value] = np.stack([np.interp(share, places, channel) for channel in channels], axis=-1).round()
    return shown


def _reduce(dataset: h5py.Dataset, what: What | int, file: Path) -> NDArray[np.float32]:
    n_images = dataset.shape[0]
    if isinstance(what, int):
        if not 0 <= what < n_images:
            raise FileFormatError(f"{file}: there is no image {what}, the file has {n_images} (counted from 0)")
        image: NDArray[np.float32] = dataset[what].astype(np.float32)
        return image
    if not n_images:
        raise FileFormatError(f"{file}: there is no image in it to make a picture of")
    total = np.zeros(dataset.shape[1:])
    n_values = np.zeros(dataset.shape[1:], np.uint32)
    for row in np.unique(np.linspace(0, n_images - 1, min(n_images, _MOST_AVERAGED)).astype(int)):
        image = dataset[row]
        has_value = np.isfinite(image)
        total += np.where(has_value, image, 0)
        n_values += has_value
    with np.errstate(invalid="ignore"):
        reduced = total / n_values if what == "mean" else np.where(n_values, total, np.nan)
    return reduced.astype(np.float32)
