"""Colours of values and of labels."""

import numpy as np
from numpy.typing import NDArray

Colours = NDArray[np.uint8]
"""Red, green, blue; shape (n, 3)."""

# viridis at every eighth of its range.
_VIRIDIS = np.array(
    [(68, 1, 84), (71, 45, 123), (59, 82, 139), (44, 114, 142), (33, 145, 140), (39, 173, 129), (92, 200, 99),
     (170, 220, 50), (253, 231, 37)], np.float64,
)  # fmt: skip
GREY = (128, 128, 128)


def viridis(values: NDArray[np.float64]) -> Colours:
    """Return colours from dark blue for 0 over green to yellow for 1; values outside have the colours of the ends."""
    places = np.linspace(0, 1, len(_VIRIDIS))
    return np.stack([np.interp(values, places, column) for column in _VIRIDIS.T], axis=-1).round().astype(np.uint8)


def spread(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return values as shares of their range, 0 to 1; all 1 where they are equal."""
    low, high = (values.min(), values.max()) if len(values) else (0.0, 0.0)
    return (values - low) / (high - low) if high > low else np.ones(len(values))
