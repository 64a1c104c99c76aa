"""Outliers of a cluster: points whose neighbours have far denser neighbourhoods than they have themselves.

Source: Breunig, Kriegel, Ng, Sander: LOF, identifying density-based local outliers (2000). What a neighbourhood is, and
from which factor on a point is an outlier, is as in `sklearn.neighbors.LocalOutlierFactor`.
"""

import numpy as np
from numpy.typing import NDArray

from std_daq.tpc.reconstruction.outlier_kernels import N_SCRATCH_ROWS, fill_outlier_factors

_MAX_FACTOR = 1.5


def is_outlier(points: NDArray[np.float64], n_neighbors: int) -> NDArray[np.bool_]:
    """Return whether each point is an outlier.

    Parameters
    ----------
    points
        float64 (n, 3), n at least 2
    n_neighbors
        Neighbours of each point; at most all others.
    """
    n_points = len(points)
    factors, scratch = np.empty(n_points), np.empty((N_SCRATCH_ROWS, n_points))
    fill_outlier_factors(np.ascontiguousarray(points.T), max(1, min(n_neighbors, n_points - 1)), factors, scratch)
    return factors > _MAX_FACTOR
