"""Values of tables at a wavelength, and numbers drawn from spectra and decays; compiled."""

import numpy as np
from numpy.typing import NDArray

from std_daq.photons.propagation.elementary_kernels import logarithm
from std_daq.photons.propagation.inner_kernels import inner

Spot = tuple[int, float]
"""A place in the grid of wavelengths: an interval, and the share of its upper end."""

NO_SPOT: Spot = (0, 0.0)


@inner()
def spot_of(grid: NDArray[np.float64], first_at: NDArray[np.int32], wavelength: float) -> Spot:
    """Return the place of a wavelength in the grid; outside, that of its nearest end.

    The grid holds each whole nm, and points between: ``first_at`` gives the index of each whole nm.
    """
    last = grid.size - 1
    if not wavelength > grid[0]:
        return 0, 0.0
    if wavelength >= grid[last]:
        return last - 1, 1.0
    i = int(first_at[int(wavelength - grid[0])])
    while grid[i + 1] <= wavelength:
        i += 1
    return i, (wavelength - grid[i]) / (grid[i + 1] - grid[i])


@inner()
def value(curves: NDArray[np.float64], curve: int, spot: Spot) -> float:
    """Return a curve at a place in the grid."""
    i, share = spot
    return curves[curve, i] + share * (curves[curve, i + 1] - curves[curve, i])


@inner()
def between(low: float, high: float, spot: Spot) -> float:
    """Return what lies between the values at both ends of an interval."""
    return low + spot[1] * (high - low)


@inner()
def drawn_wavelength(spectra: NDArray[np.float64], first: int, n: int, u: float) -> float:
    """Return a wavelength of a spectrum: the cumulative distribution at its points, inverted linearly."""
    low, high = first, first + n - 1
    while high - low > 1:
        middle = (low + high) // 2
        if spectra[middle, 1] <= u:
            low = middle
        else:
            high = middle
    share = (u - spectra[low, 1]) / (spectra[high, 1] - spectra[low, 1])
    return spectra[low, 0] + share * (spectra[high, 0] - spectra[low, 0])


@inner()
def drawn_delay(
    decays: NDArray[np.float64], first: int, n: int, rise_time: float, u: float, v: float, w: float
) -> float:
    """Return the time to re-emission: one of the decays by weight, and the rise, both exponential."""
    delay = 0.0
    if n > 0:
        i = first
        while i < first + n - 1 and u > decays[i, 1]:
            i += 1
        delay = -decays[i, 0] * logarithm(v)
    if rise_time > 0.0:
        delay -= rise_time * logarithm(w)
    return delay
