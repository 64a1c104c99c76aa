"""Smoothing splines."""

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline, make_smoothing_spline


def smoothing_spline(x: NDArray[np.float64], y: NDArray[np.float64], strength: float) -> BSpline | None:
    """Return the cubic smoothing spline of each column of ``y`` over ascending ``x``; None if there is none."""
    try:
        return make_smoothing_spline(x, y, lam=strength)
    except (ValueError, np.linalg.LinAlgError):
        return None
