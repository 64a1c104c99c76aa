"""Colours of reduced images, for pictures that the server makes: the same as the page's."""

import numpy as np
from numpy.typing import NDArray

from std_daq.imaging.display.colour_maps import ColourMap, Scale, colour_table
from std_daq.imaging.display.kernels import MASKED, MISSING, SATURATED
from std_daq.imaging.display.reduction import ReducedImage

_MIN_STEEPNESS = 100.0
FAULT_COLOURS = {MISSING: (0x4D, 0x22, 0x26), MASKED: (0x1E, 0x3A, 0x55), SATURATED: (0xFF, 0x35, 0xD0)}
"""Colours of bins without a value, and of saturated ones, beside every map."""


def coloured(
    image: ReducedImage, low: float, high: float, *, scale: Scale = "linear", colours: ColourMap = "viridis"
) -> NDArray[np.uint8]:
    """Return the colours of an image, (rows, columns, 3).

    Parameters
    ----------
    low, high
        Values of the first and the last colour.
    scale
        How a value becomes a place in the map. The logarithm is that of one more than the distance from ``low``, in
        whole numbers, or in hundredths of the range if that is below 100.
    colours
        The map.
    """
    values = image.values.astype(np.float64)
    above = np.maximum(np.where(image.flags & (MISSING | MASKED), low, values) - low, 0.0)
    span = high - low or 1e-30
    share = above / span
    if scale == "sqrt":
        share = np.sqrt(share)
    elif scale == "log":
        steepness = max(_MIN_STEEPNESS, span)
        share = np.log1p(share * steepness) / np.log1p(steepness)
    shown = colour_table(colours)[np.clip(np.rint(np.nan_to_num(share) * 255), 0, 255).astype(np.uint8)]
    for flag, colour in FAULT_COLOURS.items():
        shown[image.flags & flag != 0] = colour
    return shown


def usual_limits(at: dict[float, float], largest: float | None) -> tuple[float, float]:
    """Return limits for which most of an image has different colours.

    Parameters
    ----------
    at
        Percentiles of the image; empty if no pixel has a value.
    largest
        Its largest value.
    """
    if not at or largest is None:
        return 0.0, 1.0
    low = at[1.0]
    # Nearly all pixels may be 0; a few photons must be visible then.
    high = next((high for high in (at[99.0], at[99.9], largest) if high > low), low + 1.0)
    return low, high
