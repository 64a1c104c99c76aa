"""Directions and polarisations: unit vectors, drawn and turned; compiled.

All arguments named ``u``, ``v``, ``w`` are random numbers in (0, 1).
"""

import math

from std_daq.photons.propagation.elementary_kernels import arc_sine, cos_sin_of_turn
from std_daq.photons.propagation.inner_kernels import inner
from std_daq.photons.propagation.vector_kernels import Vector, dot, plus, times

_THREE_TURNS = 6.0 * math.pi
_NOTHING_LEFT = 1e-12  # square of the part of a polarisation across a direction, below which it has no direction


@inner()
def isotropic(u: float, v: float, w: float) -> tuple[Vector, Vector]:
    """Return a direction, even over the sphere, and a random polarisation across it."""
    cosine = 2.0 * u - 1.0
    sine = math.sqrt(max(0.0, 1.0 - cosine * cosine))
    cos_a, sin_a = cos_sin_of_turn(v)
    cos_p, sin_p = cos_sin_of_turn(w)
    ex = cos_p * cosine * cos_a - sin_p * sin_a
    ey = cos_p * cosine * sin_a + sin_p * cos_a
    return (sine * cos_a, sine * sin_a, cosine), (ex, ey, -cos_p * sine)


@inner()
def about(n: Vector, cosine: float, v: float) -> Vector:
    """Return the direction at an angle to a unit vector, with an even azimuth."""
    sine = math.sqrt(max(0.0, 1.0 - cosine * cosine))
    a, b = basis(n)
    cos_a, sin_a = cos_sin_of_turn(v)
    across_n = plus(times(sine * cos_a, a), sine * sin_a, b)
    return plus(across_n, cosine, n)


@inner()
def basis(n: Vector) -> tuple[Vector, Vector]:
    """Return two unit vectors across a unit vector and across each other (Duff et al., JCGT 6, 2017)."""
    sign = 1.0 if n[2] >= 0.0 else -1.0
    a = -1.0 / (sign + n[2])
    b = n[0] * n[1] * a
    return (1.0 + sign * n[0] * n[0] * a, sign * b, -sign * n[0]), (b, sign + n[1] * n[1] * a, -n[1])


@inner()
def across(d: Vector, e: Vector, w: float) -> Vector:
    """Return the part of a vector across a direction, as a unit vector; a random one where nothing is left of it."""
    e = plus(e, -dot(e, d), d)
    square = dot(e, e)
    if square > _NOTHING_LEFT:
        return times(1.0 / math.sqrt(square), e)
    return about(d, 0.0, w)


@inner()
def diffuse(n: Vector, u: float, v: float, w: float) -> tuple[Vector, Vector]:
    """Return a direction after Lambert about a normal, and a random polarisation across it."""
    d = about(n, math.sqrt(u), v)
    return d, about(d, 0.0, w)


@inner()
def rayleigh(e: Vector, u: float, v: float, w: float) -> tuple[Vector, Vector]:
    """Return direction and polarisation after Rayleigh scattering of light of polarisation ``e``.

    The cosine between the new direction and the old polarisation has the density 3/4 (1 - c**2). Its distribution is
    (2 + 3 c - c**3) / 4, which is (1 + sin 3 x) / 2 where c = 2 sin x.
    """
    _, sine = cos_sin_of_turn(arc_sine(2.0 * u - 1.0) / _THREE_TURNS)
    d = about(e, 2.0 * sine, v)
    return d, across(d, e, w)
