"""Outliers of a cluster: points whose neighbours have far denser neighbourhoods than they have themselves.

Source: Breunig, Kriegel, Ng, Sander: LOF, identifying density-based local outliers (2000). What a neighbourhood is, and
from which factor on a point is an outlier, is as in `sklearn.neighbors.LocalOutlierFactor`.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

_MAX_FACTOR = 1.5
_MIN_REACH = 1e-10


def is_outlier(points: NDArray[np.float64], n_neighbors: int) -> NDArray[np.bool_]:
    """Return whether each point is an outlier.

    Parameters
    ----------
    points
        float64 (n, k), n at least 2
    n_neighbors
        Neighbours of each point; at most all others.
    """
    n_neighbors = max(1, min(n_neighbors, len(points) - 1))
    distances = cdist(points, points)
    np.fill_diagonal(distances, -1.0)  # the point itself comes first
    nearest = np.argpartition(distances, n_neighbors, axis=1)[:, : n_neighbors + 1]
    reached = np.take_along_axis(distances, nearest, axis=1)
    is_other = reached >= 0
    nearest = nearest[is_other].reshape(-1, n_neighbors)
    reached = reached[is_other].reshape(-1, n_neighbors)
    farthest = reached.max(axis=1)
    density = 1.0 / (np.maximum(reached, farthest[nearest]).mean(axis=1) + _MIN_REACH)
    return np.asarray(density[nearest].mean(axis=1) / density > _MAX_FACTOR)
