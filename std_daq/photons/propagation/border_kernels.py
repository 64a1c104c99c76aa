"""Amplitudes at a border between two materials: Fresnel's formulas, and a thin film between them; compiled.

The normal points to the side from which the photon comes: direction · normal is negative. Cosines take the place of
angles, because an arc cosine loses half of the digits near normal incidence.
"""

import math

from std_daq.photons.propagation.elementary_kernels import inverse, phase, square_root
from std_daq.photons.propagation.inner_kernels import inner
from std_daq.photons.propagation.vector_kernels import Vector, cross, dot, plus, times

_ALONG = 1e-9  # sine of incidence below which the plane of incidence has no direction


@inner()
def fresnel_shares(n1: float, n2: float, c1: float) -> tuple[float, float, float]:
    """Return the reflected shares of s and p, and the cosine of refraction; 1, 1 and 0 for total reflection."""
    ratio = n1 / n2
    s2_square = ratio * ratio * (1.0 - c1 * c1)
    if s2_square >= 1.0:
        return 1.0, 1.0, 0.0
    c2 = math.sqrt(1.0 - s2_square)
    s = (n1 * c1 - n2 * c2) / (n1 * c1 + n2 * c2)
    p = (n2 * c1 - n1 * c2) / (n2 * c1 + n1 * c2)
    return s * s, p * p, c2


@inner()
def film_shares(
    n1: float, n2: complex, thickness: float, n3: float, wavelength: float, c1: float, is_s: bool
) -> tuple[float, float]:
    """Return the reflected and the transmitted share of s or p at a film of complex index ``n2``.

    Source: the Airy sum of a film, e.g. Motta and Schönert, NIM A 539 (2005) 217. Lengths are in nm.
    """
    s1_square = 1.0 - c1 * c1
    ratio = n1 * inverse(n2)
    c2 = square_root(1.0 - ratio * ratio * s1_square)
    c3_square = 1.0 - (n1 / n3) * (n1 / n3) * s1_square
    c3 = complex(math.sqrt(c3_square), 0.0) if c3_square >= 0.0 else complex(0.0, math.sqrt(-c3_square))
    if is_s:
        a1, a2, a3 = complex(n1 * c1, 0.0), n2 * c2, n3 * c3
        over12, over23 = inverse(a1 + a2), inverse(a2 + a3)
        r12, t12 = (a1 - a2) * over12, 2.0 * a1 * over12
        r23, t23 = (a2 - a3) * over23, 2.0 * a2 * over23
    else:
        over12, over23 = inverse(n2 * c1 + n1 * c2), inverse(n3 * c2 + n2 * c3)
        r12, t12 = (n2 * c1 - n1 * c2) * over12, 2.0 * n1 * c1 * over12
        r23, t23 = (n3 * c2 - n2 * c3) * over23, 2.0 * n2 * c2 * over23
    through = phase(thickness / wavelength * n2 * c2)
    over = inverse(1.0 + r12 * r23 * through * through)
    r = (r12 + r23 * through * through) * over
    t = t12 * t23 * through * over
    reflected = r.real * r.real + r.imag * r.imag
    transmitted = 0.0
    if c3_square > 0.0:
        transmitted = n3 * c3.real / (n1 * c1) * (t.real * t.real + t.imag * t.imag)
    return reflected, transmitted


@inner()
def across_incidence(d: Vector, n: Vector, e: Vector) -> Vector:
    """Return the unit vector across the plane of incidence; the polarisation where that plane has no direction."""
    a = cross(d, n)
    length = math.sqrt(dot(a, a))
    return times(1.0 / length, a) if length > _ALONG else e


@inner()
def mirrored(v: Vector, n: Vector) -> Vector:
    """Return a vector mirrored at a plane."""
    return plus(v, -2.0 * dot(v, n), n)


@inner()
def refracted(d: Vector, n: Vector, ratio: float, c1: float, c2: float) -> Vector:
    """Return the direction behind a border; ``ratio`` is n1 / n2."""
    return plus(times(ratio, d), ratio * c1 - c2, n)


@inner()
def polarised(a: Vector, d: Vector, is_s: bool) -> Vector:
    """Return the polarisation after a border: s stays across the plane of incidence, p lies in it, across the way."""
    return a if is_s else cross(a, d)
