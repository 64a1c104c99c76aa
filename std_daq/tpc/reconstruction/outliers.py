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
    farthest = np.partition(distances, n_neighbors, axis=1)[:, n_neighbors]
    is_near = (distances <= farthest[:, np.newaxis]).astype(np.float64)
    np.fill_diagonal(is_near, 0.0)
    n_near = is_near.sum(axis=1)  # more than the neighbours only where several are equally far
    np.maximum(distances, farthest, out=distances)
    density = 1.0 / (np.einsum("ij,ij->i", distances, is_near) / n_near + _MIN_REACH)
    return np.asarray(np.einsum("ij,j->i", is_near, density) / n_near / density > _MAX_FACTOR)
