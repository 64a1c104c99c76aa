"""Axis: which observable a histogram counts, and in which bins."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Axis:
    """Equal bins over a range of one observable.

    Parameters
    ----------
    column
        Field of the estimates.
    title, unit
        What stands at the axis; the unit may be empty.
    n_bins
        How many bins there are.
    low, high
        Begin of the first bin, and end of the last, which does not belong to it; in ``unit``.
    is_angle
        The column is an angle in radians, and the axis is in degrees.
    """

    column: str
    title: str
    unit: str
    n_bins: int
    low: float
    high: float
    is_angle: bool = False

    @property
    def width(self) -> float:
        """Width of a bin."""
        return (self.high - self.low) / self.n_bins

    @property
    def centres(self) -> NDArray[np.float64]:
        """Middles of the bins."""
        return np.asarray(self.low + self.width * (np.arange(self.n_bins) + 0.5), np.float64)

    def bins_of(self, estimates: NDArray[np.void]) -> NDArray[np.int64]:
        """Return the bin of each estimate; -1 for what is outside, or is no number."""
        values = estimates[self.column].astype(np.float64)
        if self.is_angle:
            values = np.degrees(values)
        is_inside = (values >= self.low) & (values < self.high)  # false for what is no number
        bins = np.full(len(values), -1)
        # Rounding may lift a value just below the end into a bin that does not exist.
        bins[is_inside] = np.minimum((values[is_inside] - self.low) / self.width, self.n_bins - 1)
        return bins
