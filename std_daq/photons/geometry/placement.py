"""Rotations from the frame of a solid or part to that of what it stands in."""

import numpy as np
from numpy.typing import NDArray

_ROUNDING = 1e-15


def turned_to(directions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rotations that turn +z to directions by the shortest way; to -z about x.

    Parameters
    ----------
    directions
        Vectors of any length but 0, shape (n, 3).
    """
    d = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    half = d + np.array([0.0, 0.0, 1.0])
    length = np.linalg.norm(half, axis=1, keepdims=True)
    is_opposite = length[:, 0] < _ROUNDING
    half = half / np.where(is_opposite[:, None], 1.0, length)
    # Two mirrors, at the plane across z and at the plane across the half-way vector, are the rotation between both.
    mirror = np.eye(3) - 2.0 * half[:, :, None] * half[:, None, :]
    rotations: NDArray[np.float64] = mirror @ np.diag([1.0, 1.0, -1.0])
    rotations[np.abs(rotations) < _ROUNDING] = 0.0  # the directions of most solids are axes
    rotations[is_opposite] = np.diag([1.0, -1.0, -1.0])
    return rotations
