"""The way of photons through a detector, step by step; compiled.

Photons are rows of two views of `std_daq.photons.records.PHOTON`: float32 and uint32, of `N_FIELDS` columns.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import from_dtype, types
from numpy.typing import NDArray

from std_daq.native.jit import kernel
from std_daq.photons.geometry.records import (
    BOUNDARY,
    COMPONENT,
    EMISSION,
    MATERIAL,
    OPTICS,
    PRIMITIVE,
    SURFACE,
    THIN_FILM,
    Scene,
)
from std_daq.photons.propagation.direction_kernels import across, rayleigh
from std_daq.photons.propagation.elementary_kernels import logarithm
from std_daq.photons.propagation.flag_constants import (
    BULK_ABSORB,
    BULK_REEMIT,
    NAN_ABORT,
    NO_HIT,
    RAYLEIGH_SCATTER,
    SURFACE_DETECT,
    SURFACE_REEMIT,
    TERMINAL,
)
from std_daq.photons.propagation.inner_kernels import inlined
from std_daq.photons.propagation.random_kernels import Stream, uniforms
from std_daq.photons.propagation.shape_kernels import NEVER, normal
from std_daq.photons.propagation.surface_kernels import NO_EMISSION, Choices, at_border, at_coat, at_film, emitted
from std_daq.photons.propagation.table_kernels import NO_SPOT, Spot, between, spot_of, value
from std_daq.photons.propagation.tree_kernels import Scratch, nearest
from std_daq.photons.propagation.vector_kernels import Vector, dot, plus, times, turned, turned_back, unit, vector

N_FIELDS = 12
NO_CHANNEL = -1

_FLAGS = 11  # column
_BLOCKS_A_STEP = 3  # of random numbers
_UNIT = 1e-6  # how far from 1 the length of a polarisation may be, and from 0 its product with the direction


class Photons(NamedTuple):
    """Photons of many requests, a row each.

    Parameters
    ----------
    floats, words
        Their fields, as they began; afterwards as they ended.
    channels
        Written: the channel that detected a photon, or `NO_CHANNEL`.
    keys, numbers
        The key of its random numbers, and its index in its request.
    """

    floats: NDArray[np.float32]
    words: NDArray[np.uint32]
    channels: NDArray[np.int32]
    keys: NDArray[np.uint64]
    numbers: NDArray[np.uint32]


@inlined()
def normal_at(scene: Scene, found: int, instance: int, place: Vector) -> Vector:
    """Return the normal of a primitive at a point of the detector; it points to the outer side."""
    kind, i = scene.primitives[found].kind, scene.primitives[found].numbers
    if instance < 0:
        return normal(kind, scene.shapes, i, place)
    r = scene.primitives[instance].numbers
    local = turned_back(scene.shapes, r, plus(place, -1.0, vector(scene.shapes, r + 9)))
    return turned(scene.shapes, r, normal(kind, scene.shapes, i, local))


@inlined()
def component_that_emits(scene: Scene, m: int, spot: Spot, absorption: float, u2: float, u3: float) -> int:
    """Return the emission of the component that absorbed light and emits it again, or `NO_EMISSION`.

    ``u2`` chooses the component, in proportion to the inverse lengths; ``u3`` whether it emits.
    """
    left = u2 * absorption
    first = scene.materials[m].first_component
    for c in range(first, first + scene.materials[m].n_components):
        component = scene.components[c]
        left -= value(scene.curves, component.absorption, spot)
        if left < 0.0:
            return component.emission if u3 < value(scene.curves, component.probability, spot) else NO_EMISSION
    return NO_EMISSION


@inlined()
def at_surface(
    scene: Scene,
    number: int,
    spot: Spot,
    n1: float,
    n2: float,
    d: Vector,
    n: Vector,
    e: Vector,
    wavelength: float,
    choices: Choices,
    stream: Stream,
    spare: int,
) -> tuple[int, Vector, Vector]:
    """Return what happened at a boundary with surface ``number``, or -1, and the new direction and polarisation."""
    u1, u2, u3 = choices
    happened = 0
    if number >= 0:
        surface = scene.surfaces[number]
        if surface.model == THIN_FILM:
            return at_film(scene, surface, spot, n1, n2, d, n, e, wavelength, choices, stream, spare)
        happened, d, e, goes_on = at_coat(scene, surface, spot, d, n, e, u2, u3, stream, spare)
        if not goes_on:
            return happened, d, e
    reflected, d, e = at_border(n1, n2, d, n, e, u1, u3)
    return happened | reflected, d, e


class Flight(NamedTuple):
    """A photon on its way.

    Parameters
    ----------
    place, direction, polarisation, wavelength, time
        Where it is, and how.
    spot
        The place of its wavelength in the grid.
    stream
        Its random numbers.
    last, last_instance
        The primitive on which it is, and its instance; -1: on none.
    flags, channel
        What has happened to it, and the channel that detected it, or `NO_CHANNEL`.
    n_steps
        The steps that it has taken; -1: it has not begun, and stays as it is.
    """

    place: Vector
    direction: Vector
    polarisation: Vector
    wavelength: float
    time: float
    spot: Spot
    stream: Stream
    last: int
    last_instance: int
    flags: int
    channel: int
    n_steps: int


@inlined()
def begin(photons: Photons, row: int, scene: Scene) -> Flight:
    """Return the photon of a row as it begins; if it has come to its end, it does not begin."""
    floats, words = photons.floats, photons.words
    flags: Any = np.int64(words[row, _FLAGS])
    place = (np.float64(floats[row, 0]), np.float64(floats[row, 1]), np.float64(floats[row, 2]))
    d = (np.float64(floats[row, 3]), np.float64(floats[row, 4]), np.float64(floats[row, 5]))
    e = (np.float64(floats[row, 6]), np.float64(floats[row, 7]), np.float64(floats[row, 8]))
    wavelength, time = np.float64(floats[row, 9]), np.float64(floats[row, 10])
    stream = (photons.keys[row], np.uint64(photons.numbers[row]))
    n_steps, spot = -1, NO_SPOT
    # A sum is finite only if all its parts are.
    total = place[0] + place[1] + place[2] + dot(d, d) + dot(e, e) + wavelength + time
    if flags & TERMINAL == 0:
        if dot(d, d) > 0.0 and abs(total) < NEVER:
            n_steps, spot = 0, spot_of(scene.grid, scene.first_at, wavelength)
            d = unit(d)
            if abs(dot(e, e) - 1.0) > _UNIT or abs(dot(d, e)) > _UNIT:
                _, _, _, u = uniforms(stream, 0)
                e = across(d, e, u)
        else:
            flags |= NO_HIT | NAN_ABORT
    return Flight(place, d, e, wavelength, time, spot, stream, -1, -1, flags, NO_CHANNEL, n_steps)


@inlined()
def is_flying(flight: Flight, max_steps: int) -> bool:
    """Return whether a photon takes another step."""
    return flight.flags & TERMINAL == 0 and flight.n_steps < max_steps


@inlined()
def step(flight: Flight, scene: Scene, scratch: Scratch) -> Flight:
    """Return a photon after its next interaction, in a material or at a boundary."""
    place, d, e, wavelength, time, spot, stream, last, last_instance, flags, channel, n_steps = flight
    way, found, instance = nearest(scene, place, d, last, last_instance, scratch)
    if found < 0:
        flags |= NO_HIT
        return Flight(place, d, e, wavelength, time, spot, stream, last, last_instance, flags, channel, n_steps)
    block = 1 + _BLOCKS_A_STEP * n_steps
    spare = block + 1
    u0, u1, u2, u3 = uniforms(stream, block)
    met = plus(place, way, d)
    n = normal_at(scene, found, instance, met)
    boundary = scene.boundaries[scene.primitives[found].boundary]
    here, behind = boundary.outer, boundary.inner
    if dot(d, n) > 0.0:
        n, here, behind = times(-1.0, n), behind, here
    low, high = scene.optics[here, spot[0]], scene.optics[here, spot[0] + 1]
    slowness = between(low.slowness, high.slowness, spot)
    absorption = between(low.absorption, high.absorption, spot)
    total = absorption + between(low.scattering, high.scattering, spot)
    emission = NO_EMISSION
    # -log(u) is never less than 1 - u: most photons need no logarithm to know that they fly on.
    free = NEVER if way * total <= 1.0 - u0 else -logarithm(u0) / total
    if free >= way:
        place, time, last, last_instance = met, time + way * slowness, found, instance
        n1 = between(low.index, high.index, spot)
        n2 = between(scene.optics[behind, spot[0]].index, scene.optics[behind, spot[0] + 1].index, spot)
        surface = boundary.surface
        happened, d, e = at_surface(scene, surface, spot, n1, n2, d, n, e, wavelength, (u1, u2, u3), stream, spare)
        if happened == SURFACE_DETECT:
            channel = scene.primitives[found if instance < 0 else instance].channel
        elif happened == SURFACE_REEMIT:
            emission = scene.surfaces[surface].emission
    else:
        place, time, last, last_instance = plus(place, free, d), time + free * slowness, -1, -1
        if u1 * total < absorption:
            emission = component_that_emits(scene, here, spot, absorption, u2, u3)
            happened = BULK_ABSORB if emission == NO_EMISSION else BULK_REEMIT
        else:
            happened = RAYLEIGH_SCATTER
            _, _, _, u = uniforms(stream, spare)
            d, e = rayleigh(e, u2, u3, u)
    if emission != NO_EMISSION:
        d, e, wavelength, delay = emitted(scene, emission, stream, spare)
        time += delay
        spot = spot_of(scene.grid, scene.first_at, wavelength)
    # A step of Newton's iteration to length 1. Without it, errors grow with each reflection by a curved mirror.
    d = times(1.5 - 0.5 * dot(d, d), d)
    flags |= happened
    return Flight(place, d, e, wavelength, time, spot, stream, last, last_instance, flags, channel, n_steps + 1)


@inlined()
def finish(photons: Photons, row: int, flight: Flight) -> None:
    """Write how the photon of a row ended."""
    floats, words = photons.floats, photons.words
    words[row, _FLAGS] = np.uint32(flight.flags)
    photons.channels[row] = flight.channel
    if flight.n_steps >= 0:
        floats[row, 0], floats[row, 1], floats[row, 2] = flight.place
        floats[row, 3], floats[row, 4], floats[row, 5] = flight.direction
        floats[row, 6], floats[row, 7], floats[row, 8] = flight.polarisation
        floats[row, 9], floats[row, 10] = flight.wavelength, flight.time


def _array(dtype: Any, n_dimensions: int = 1, *, is_read: bool = True) -> Any:
    return types.Array(from_dtype(np.dtype(dtype)), n_dimensions, "C", readonly=is_read)


_PHOTONS = types.NamedTuple(
    (
        _array("f4", 2, is_read=False),
        _array("u4", 2, is_read=False),
        _array("i4", is_read=False),
        _array("u8", is_read=False),
        _array("u4", is_read=False),
    ),
    Photons,
)
_SCENE = types.NamedTuple(
    (
        _array("f8"),
        _array("f4"),
        _array("i4"),
        _array(PRIMITIVE),
        _array("f8"),
        _array(BOUNDARY),
        _array("f8"),
        _array("i4"),
        _array(OPTICS, 2),
        _array(MATERIAL),
        _array(COMPONENT),
        _array(EMISSION),
        _array(SURFACE),
        _array("f8", 2),
        _array("f8", 2),
        _array("f8", 2),
        _array("f8"),
    ),
    Scene,
)
_SCRATCH = types.NamedTuple(
    (_array("i4", is_read=False), _array("f4", is_read=False), _array("f4", is_read=False)), Scratch
)


@kernel(types.int64(_PHOTONS, types.int64, types.int64, types.int64, _SCENE, _SCRATCH), error_model="numpy", _nrt=False)
def propagate(photons: Photons, first: int, end: int, max_steps: int, scene: Scene, scratch: Scratch) -> int:
    """Follow the photons of some rows, end excluded, to their ends. Returns the steps of all."""
    n_steps = 0
    for row in range(first, end):
        flight = begin(photons, row, scene)
        while is_flying(flight, max_steps):
            flight = step(flight, scene, scratch)
        finish(photons, row, flight)
        n_steps += max(0, flight.n_steps)
    return n_steps
