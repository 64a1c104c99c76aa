"""Pixels as colours, for people."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Dark blue over green to yellow, even steps of brightness; pixels without a value are grey.
_COLOURS = ((0.0, 68, 1, 84), (0.25, 59, 82, 139), (0.5, 33, 145, 140), (0.75, 94, 201, 98), (1.0, 253, 231, 37))
_NO_VALUE = (110, 110, 110)
# Percentiles: a few hot pixels must not leave the rest black, and a few photons must be seen where all else is dark.
_DARKEST, _BRIGHTEST = 1.0, (99.0, 99.9, 100.0)


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
