"""Vectors of three numbers, as tuples; compiled."""

import math

import numpy as np
from numpy.typing import NDArray

from std_daq.photons.propagation.inner_kernels import inner

Vector = tuple[float, float, float]


@inner()
def dot(a: Vector, b: Vector) -> float:
    """Return the scalar product."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@inner()
def cross(a: Vector, b: Vector) -> Vector:
    """Return the vector product."""
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


@inner()
def plus(a: Vector, factor: float, b: Vector) -> Vector:
    """Return a + factor b."""
    return a[0] + factor * b[0], a[1] + factor * b[1], a[2] + factor * b[2]


@inner()
def times(factor: float, a: Vector) -> Vector:
    """Return a vector that is stretched by a factor."""
    return factor * a[0], factor * a[1], factor * a[2]


@inner()
def unit(a: Vector) -> Vector:
    """Return the vector of length 1 in the same direction."""
    return times(1.0 / math.sqrt(dot(a, a)), a)


@inner()
def vector(numbers: NDArray[np.float64], i: int) -> Vector:
    """Return the vector whose numbers begin at an index."""
    return numbers[i], numbers[i + 1], numbers[i + 2]


@inner()
def turned(numbers: NDArray[np.float64], i: int, a: Vector) -> Vector:
    """Return a vector turned by the matrix whose rows begin at an index."""
    return dot(vector(numbers, i), a), dot(vector(numbers, i + 3), a), dot(vector(numbers, i + 6), a)


@inner()
def turned_back(numbers: NDArray[np.float64], i: int, a: Vector) -> Vector:
    """Return a vector turned by the inverse of a rotation, whose rows begin at an index."""
    return plus(plus(times(a[0], vector(numbers, i)), a[1], vector(numbers, i + 3)), a[2], vector(numbers, i + 6))
