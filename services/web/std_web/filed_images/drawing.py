"""Pictures of images: reduced, coloured, and encoded."""

import io
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from std_daq.imaging.files.colours import colour

_QUALITY = 85


def encoded(pixels: NDArray[Any], size: int, encoding: Literal["png", "jpeg"]) -> bytes:
    """Return a picture of an image, (height, width), of at most ``size`` pixels each way: the maximum of each bin."""
    made = io.BytesIO()
    image = Image.fromarray(colour(reduce_to(pixels, size).astype(np.float32)))
    image.save(made, format=encoding, **({"quality": _QUALITY} if encoding == "jpeg" else {}))
    return made.getvalue()


def reduce_to(pixels: NDArray[Any], size: int) -> NDArray[Any]:
    """Return pixels with at most ``size`` rows and columns, each the largest of its bin; NaN: it has no value.

    Rows and columns are reduced alike, so that the picture is as wide for its height as the image.
    """
    longest = max(pixels.shape)
    if longest <= size:
        return pixels
    for axis, length in enumerate(pixels.shape):
        edges = np.linspace(0, length, max(1, round(length * size / longest)), endpoint=False).astype(np.intp)
        pixels = np.fmax.reduceat(pixels, edges, axis=axis)
    return pixels
