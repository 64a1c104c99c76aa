"""Conversion of pixel values to colours, for pictures that people look at."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

# From dark blue over green to yellow, in even steps of brightness. Pixels without a value are grey.
_COLOURS = ((0.0, 68, 1, 84), (0.25, 59, 82, 139), (0.5, 33, 145, 140), (0.75, 94, 201, 98), (1.0, 253, 231, 37))
_NO_VALUE = (110, 110, 110)
# Percentiles of the pixel values that get the first and the last colour. With the 99th, a few hot pixels do not make
# all others dark. The higher ones are for images in which nearly all pixels are 0: a few photons must be visible.
_DARKEST, _BRIGHTEST = 1.0, (99.0, 99.9, 100.0)
# The range of larger numbers is not a number itself.
_LARGEST = 1e100


def brightness(pixels: NDArray[Any]) -> NDArray[np.float64]:
    """Return how bright each pixel is shown, from 0 to 1; NaN for a pixel without a value.

    0 is the 1st percentile of the pixels that have a value, and 1 the 99th. If these two are equal, 1 is the 99.9th
    percentile, or the largest value.
    """
    has_value = np.isfinite(pixels)
    bright = np.full(pixels.shape, np.nan)
    if has_value.any():
        values = pixels[has_value]
        if values.dtype == np.float64:
            values = np.clip(values, -_LARGEST, _LARGEST)
        low, *highs = np.percentile(values, (_DARKEST, *_BRIGHTEST))
        high = next((high for high in highs if high > low), low)
        bright[has_value] = np.clip((values - low) / max(high - low, np.finfo(np.float32).tiny), 0.0, 1.0)
    return bright


def colour(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Return pixels as colours, (height, width, 3), by their `brightness`."""
    bright = brightness(pixels)
    has_value = np.isfinite(bright)
    shown = np.full((*pixels.shape, 3), _NO_VALUE, np.uint8)
    if has_value.any():
        share = bright[has_value]
        places, *channels = zip(*_COLOURS, strict=True)
        shown[has_value] = np.stack([np.interp(share, places, channel) for channel in channels], axis=-1).round()
    return shown
