"""Where a ray meets a primitive, and the normal there; compiled.

A photon that has just met a surface lies on it only up to rounding. So the flat primitive that it met last is left out.
On a curved one, the other end of the chord is taken. All lengths are in mm and float64.
"""

import math

import numpy as np
from numpy.typing import NDArray

from std_daq.photons.geometry.records import CYLINDER_SIDE, DISC, SPHERE, TRIANGLE
from std_daq.photons.propagation.inner_kernels import inlined
from std_daq.photons.propagation.vector_kernels import Vector, cross, dot, plus, unit, vector

NEVER = math.inf
_CURVED_MIN = 1e-5  # shortest way to a curved surface
_FLAT_MIN = 1e-9  # shortest way to another flat surface: a photon at an edge is on both of its faces
_EDGE = 1e-12  # faces overlap by this share at their edges, so that no ray passes between them
_PARALLEL = 1e-24  # square of the sine to a cylinder's axis, below which its side is not met


@inlined()
def distance(kind: int, shapes: NDArray[np.float64], i: int, place: Vector, d: Vector, is_last: bool) -> float:
    """Return the way along a ray to the primitive whose numbers begin at ``shapes[i]``; `NEVER` where it misses."""
    place = plus(place, -1.0, vector(shapes, i))
    if kind == SPHERE:
        return _to_sphere(shapes[i + 3], place, d, is_last)
    if kind == CYLINDER_SIDE:
        return _to_side(shapes, i, place, d, is_last)
    if is_last:
        return NEVER
    if kind == TRIANGLE:
        return _to_triangle(vector(shapes, i + 3), vector(shapes, i + 6), place, d)
    return _to_flat(kind, shapes, i, place, d)


@inlined()
def _to_sphere(radius: float, place: Vector, d: Vector, is_last: bool) -> float:
    along = dot(place, d)
    if is_last:
        return -2.0 * along if -2.0 * along > _CURVED_MIN else NEVER
    # The distance of the ray from the centre keeps its digits where the centre is far away.
    nearest = plus(place, -along, d)
    square = radius * radius - dot(nearest, nearest)
    if square <= 0.0:
        return NEVER
    half = math.sqrt(square)
    if -along - half > _CURVED_MIN:
        return -along - half
    return half - along if half - along > _CURVED_MIN else NEVER


@inlined()
def _to_side(shapes: NDArray[np.float64], i: int, place: Vector, d: Vector, is_last: bool) -> float:
    axis, radius, limit = vector(shapes, i + 3), shapes[i + 6], shapes[i + 7] * (1.0 + _EDGE)
    height, climb = dot(place, axis), dot(d, axis)
    place, d = plus(place, -height, axis), plus(d, -climb, axis)
    square = dot(d, d)
    if square < _PARALLEL:
        return NEVER
    middle = -dot(place, d) / square
    if is_last:
        far = 2.0 * middle
        return far if far > _CURVED_MIN and abs(height + far * climb) <= limit else NEVER
    nearest = plus(place, middle, d)
    half_square = (radius * radius - dot(nearest, nearest)) / square
    if half_square <= 0.0:
        return NEVER
    half = math.sqrt(half_square)
    near, far = middle - half, middle + half
    if near > _CURVED_MIN and abs(height + near * climb) <= limit:
        return near
    return far if far > _CURVED_MIN and abs(height + far * climb) <= limit else NEVER


@inlined()
def _to_flat(kind: int, shapes: NDArray[np.float64], i: int, place: Vector, d: Vector) -> float:
    n = vector(shapes, i + 3)
    slope = dot(d, n)
    if slope == 0.0:
        return NEVER
    way = -dot(place, n) / slope
    if not way > _FLAT_MIN:
        return NEVER
    met = plus(place, way, d)
    if kind == DISC:
        radius = shapes[i + 6] * (1.0 + _EDGE)
        return way if dot(met, met) <= radius * radius else NEVER
    u, v = dot(met, vector(shapes, i + 6)), dot(met, vector(shapes, i + 9))
    if abs(u) <= shapes[i + 12] * (1.0 + _EDGE) and abs(v) <= shapes[i + 13] * (1.0 + _EDGE):
        return way
    return NEVER


@inlined()
def _to_triangle(a: Vector, b: Vector, place: Vector, d: Vector) -> float:
    """Return the way to a triangle with a corner in the origin, after Möller and Trumbore (1997)."""
    p = cross(d, b)
    volume = dot(a, p)
    if volume == 0.0:
        return NEVER
    inverse = 1.0 / volume
    u = dot(place, p) * inverse
    if not (u >= -_EDGE and u <= 1.0 + _EDGE):
        return NEVER
    q = cross(place, a)
    v = dot(d, q) * inverse
    if not (v >= -_EDGE and u + v <= 1.0 + _EDGE):
        return NEVER
    way = dot(b, q) * inverse
    return way if way > _FLAT_MIN else NEVER


@inlined()
def normal(kind: int, shapes: NDArray[np.float64], i: int, place: Vector) -> Vector:
    """Return the unit normal of a primitive at a point on it; it points to the outer side."""
    if kind == TRIANGLE:
        return unit(cross(vector(shapes, i + 3), vector(shapes, i + 6)))
    if kind == SPHERE:
        return unit(plus(place, -1.0, vector(shapes, i)))
    n = vector(shapes, i + 3)
    if kind != CYLINDER_SIDE:
        return n
    place = plus(place, -1.0, vector(shapes, i))
    return unit(plus(place, -dot(place, n), n))
