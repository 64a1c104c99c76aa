"""What a surface does to a photon that meets it; compiled.

``u1`` chooses between s and p, ``u2`` what happens, ``u3`` what follows from it. ``spare`` is a block of random numbers
that nothing else uses, as is the next one.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.photons.geometry.records import DEFAULT, WLS, Scene
from std_daq.photons.propagation.border_kernels import (
    across_incidence,
    film_shares,
    fresnel_shares,
    mirrored,
    polarised,
    refracted,
)
from std_daq.photons.propagation.direction_kernels import diffuse, isotropic
from std_daq.photons.propagation.elementary_kernels import arc_sine
from std_daq.photons.propagation.flag_constants import (
    REFLECT_DIFFUSE,
    REFLECT_SPECULAR,
    SURFACE_ABSORB,
    SURFACE_DETECT,
    SURFACE_REEMIT,
    SURFACE_TRANSMIT,
)
from std_daq.photons.propagation.inner_kernels import inlined
from std_daq.photons.propagation.random_kernels import Stream, uniforms
from std_daq.photons.propagation.table_kernels import Spot, drawn_delay, drawn_wavelength, value
from std_daq.photons.propagation.vector_kernels import Vector, dot

_DEGREES = 180.0 / math.pi

NO_EMISSION = -1

Choices = tuple[float, float, float]
"""u1, u2 and u3."""

Emitted = tuple[Vector, Vector, float, float]
"""Direction, polarisation, wavelength, delay."""


@inlined()
def at_border(
    n1: float, n2: float, d: Vector, n: Vector, e: Vector, u1: float, u3: float
) -> tuple[int, Vector, Vector]:
    """Return what happened at a border without surface, and the new direction and polarisation."""
    if n1 == n2:
        return 0, d, e
    c1 = min(1.0, -dot(d, n))
    a = across_incidence(d, n, e)
    is_s = u1 < dot(e, a) * dot(e, a)
    reflected_s, reflected_p, c2 = fresnel_shares(n1, n2, c1)
    if u3 < (reflected_s if is_s else reflected_p):
        d = mirrored(d, n)
        return REFLECT_SPECULAR, d, polarised(a, d, is_s)
    d = refracted(d, n, n1 / n2, c1, c2)
    return 0, d, polarised(a, d, is_s)


@inlined()
def at_film(
    scene: Scene,
    surface: Any,
    spot: Spot,
    n1: float,
    n3: float,
    d: Vector,
    n: Vector,
    e: Vector,
    wavelength: float,
    choices: Choices,
    stream: Stream,
    spare: int,
) -> tuple[int, Vector, Vector]:
    """Return what happened at a thin film, as a photocathode, and the new direction and polarisation."""
    u1, u2, u3 = choices
    curve = surface.first_curve
    n2 = complex(value(scene.curves, curve, spot), value(scene.curves, curve + 1, spot))
    c1 = min(1.0, -dot(d, n))
    a = across_incidence(d, n, e)
    is_s = u1 < dot(e, a) * dot(e, a)
    reflected, transmitted = film_shares(n1, n2, surface.thickness, n3, wavelength, c1, is_s)
    if surface.is_transmissive == 0:
        transmitted = 0.0
    if u2 >= reflected + transmitted:
        efficiency = value(scene.curves, curve + 2, spot)
        if surface.scales_efficiency != 0:
            lost_r, lost_t = film_shares(n1, n2, surface.thickness, n3, wavelength, 1.0, True)
            absorbed = 1.0 - lost_r - (0.0 if surface.is_transmissive == 0 else lost_t)
            # Where nothing is absorbed at normal incidence, the efficiency per absorbed photon is at its limit, 1.
            efficiency = efficiency / absorbed if absorbed > efficiency else math.ceil(efficiency)
        return (SURFACE_DETECT if u3 < efficiency else SURFACE_ABSORB), d, e
    if u2 >= reflected:
        ratio = n1 / n3
        d = refracted(d, n, ratio, c1, math.sqrt(1.0 - ratio * ratio * (1.0 - c1 * c1)))
        return SURFACE_TRANSMIT, d, polarised(a, d, is_s)
    if u3 < value(scene.curves, curve + 3, spot):
        b0, b1, b2, _ = uniforms(stream, spare)
        d, e = diffuse(n, b0, b1, b2)
        return REFLECT_DIFFUSE, d, e
    d = mirrored(d, n)
    return REFLECT_SPECULAR, d, polarised(a, d, is_s)


@inlined()
def emitted(scene: Scene, number: int, stream: Stream, spare: int) -> Emitted:
    """Return light that is emitted again, by the emission of this number."""
    emission = scene.emissions[number]
    b0, b1, b2, b3 = uniforms(stream, spare)
    c0, c1, c2, _ = uniforms(stream, spare + 1)
    d, e = isotropic(b0, b1, b2)
    wavelength = drawn_wavelength(scene.spectra, emission.spectrum, emission.n_spectrum, b3)
    return (
        d,
        e,
        wavelength,
        drawn_delay(scene.decays, emission.decay, emission.n_decays, emission.rise_time, c0, c1, c2),
    )


@inlined()
def dichroic_shares(
    curves: NDArray[np.float64], angles: NDArray[np.float64], surface: Any, spot: Spot, c1: float
) -> tuple[float, float]:
    """Return the reflected and the transmitted share at an angle of incidence; angles outside are clamped."""
    angle = 90.0 - arc_sine(c1) * _DEGREES
    first, last = surface.first_angle, surface.first_angle + surface.n_angles - 1
    at = first
    while at < last - 1 and angles[at + 1] <= angle:
        at += 1
    curve = surface.first_curve + 2 * (at - first)
    reflected, transmitted = value(curves, curve, spot), value(curves, curve + 1, spot)
    if last > first:
        share = min(1.0, max(0.0, (angle - angles[at]) / (angles[at + 1] - angles[at])))
        reflected += share * (value(curves, curve + 2, spot) - reflected)
        transmitted += share * (value(curves, curve + 3, spot) - transmitted)
    return reflected, transmitted


@inlined()
def at_coat(
    scene: Scene,
    surface: Any,
    spot: Spot,
    d: Vector,
    n: Vector,
    e: Vector,
    u2: float,
    u3: float,
    stream: Stream,
    spare: int,
) -> tuple[int, Vector, Vector, bool]:
    """Return what happened at any model but the thin film, and whether the photon goes on as at a plain border.

    Light that a surface shifts is told by SURFACE_REEMIT; the caller draws what is emitted.
    """
    curves, curve = scene.curves, surface.first_curve
    is_diffuse, is_mirrored, passed = False, False, 0
    if surface.model == DEFAULT:
        if u2 < value(curves, curve + 1, spot):
            return (SURFACE_ABSORB if u2 < value(curves, curve, spot) else SURFACE_DETECT), d, e, False
        is_diffuse = u2 < value(curves, curve + 2, spot)
        is_mirrored = u2 < value(curves, curve + 3, spot)
    elif surface.model == WLS:
        if u2 < value(curves, curve, spot):
            return (SURFACE_REEMIT if u3 < value(curves, curve + 1, spot) else SURFACE_ABSORB), d, e, False
        is_diffuse = u2 < value(curves, curve + 2, spot)
        is_mirrored = u2 < value(curves, curve + 3, spot)
        passed = SURFACE_TRANSMIT
    else:
        reflected, transmitted = dichroic_shares(curves, scene.angles, surface, spot, min(1.0, -dot(d, n)))
        is_mirrored = u2 < reflected
        if u2 >= reflected + transmitted:
            return SURFACE_ABSORB, d, e, False
        passed = SURFACE_TRANSMIT
    if is_diffuse:
        b0, b1, b2, _ = uniforms(stream, spare)
        d, e = diffuse(n, b0, b1, b2)
        return REFLECT_DIFFUSE, d, e, False
    if is_mirrored:
        return REFLECT_SPECULAR, mirrored(d, n), mirrored(e, n), False
    return passed, d, e, True
