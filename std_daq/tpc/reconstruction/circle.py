"""Circles through points, and how far two of them overlap."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Circle(NamedTuple):
    """A circle in the plane of the pads, in mm; NaN if the points have none."""

    x: float
    y: float
    radius: float

    @property
    def is_known(self) -> bool:
        """Whether there is a circle."""
        return not math.isnan(self.x + self.y + self.radius)


_NO_CIRCLE = Circle(math.nan, math.nan, math.nan)


def fit_circle(x: NDArray[np.float64], y: NDArray[np.float64]) -> Circle:
    """Return the circle of least squares of the algebraic distance.

    The centre solves two linear equations in the moments of the points about their mean. The radius is the mean
    distance of the points to it.
    """
    mean_x, mean_y = float(np.mean(x)), float(np.mean(y))
    u, v = x - mean_x, y - mean_y
    uu, vv = u * u, v * v
    s_uu, s_vv, s_uv = float(uu.sum()), float(vv.sum()), float((u * v).sum())
    right_u = float((uu * u).sum() + (u * vv).sum()) / 2
    right_v = float((uu * v).sum() + (vv * v).sum()) / 2
    determinant = s_uu * s_vv - s_uv * s_uv
    if determinant == 0:
        return _NO_CIRCLE
    centre_x = (right_u * s_vv - right_v * s_uv) / determinant + mean_x
    centre_y = (right_v * s_uu - right_u * s_uv) / determinant + mean_y
    return Circle(centre_x, centre_y, float(np.mean(np.hypot(x - centre_x, y - centre_y))))


def overlap_area(one: Circle, other: Circle) -> float:
    """Return the area that two circles have in common."""
    r, big_r = one.radius, other.radius
    smaller = smaller_area(one, other)
    d = math.hypot(one.x - other.x, one.y - other.y)
    if d == 0:
        return smaller
    c1, c2, c3, c4 = -d + r + big_r, d + r - big_r, d - r + big_r, d + r + big_r
    product = c1 * c2 * c3 * c4
    if product < 0:
        if c1 < 0:
            return 0.0
        if c2 < 0 or c3 < 0:
            return smaller
    angle = math.acos(_clamped((d * d + r * r - big_r * big_r) / (2 * d * r)))
    other_angle = math.acos(_clamped((d * d + big_r * big_r - r * r) / (2 * d * big_r)))
    return r * r * angle + big_r * big_r * other_angle - math.sqrt(max(product, 0.0)) / 2


def smaller_area(one: Circle, other: Circle) -> float:
    """Return the area of the smaller of two circles."""
    return math.pi * min(one.radius, other.radius) ** 2


def _clamped(cosine: float) -> float:
    return max(-1.0, min(1.0, cosine))
