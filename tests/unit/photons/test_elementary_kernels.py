"""Elementary functions: as accurate as those of a library, and the same bits compiled and in plain Python."""

import cmath
import math

import numpy as np
import pytest

from std_daq.native.jit import njit
from std_daq.photons.propagation import elementary_kernels
from std_daq.photons.propagation.elementary_kernels import (
    arc_sine,
    cos_sin_of_turn,
    exponential,
    logarithm,
    phase,
    square_root,
)

UNITS = 3  # of the last place
SMALLEST = 0.5 * 2.0**-32  # of the random numbers
RNG = np.random.default_rng(1)
UNIFORMS = np.concatenate([[SMALLEST, 1 - SMALLEST, 0.5, 0.25, 0.125, 0.75, 0.7071067811865476], RNG.random(5000)])
SIGNED = np.concatenate([[-1.0, 1.0, 0.0, 0.5, -0.5, 1e-300, 1 - SMALLEST], 2 * RNG.random(5000) - 1])
NEGATIVE = np.concatenate([[0.0, -1e-300, -0.3465735902799727, -0.34657359027997264, -699.9], -50 * RNG.random(5000)])
COMPLEX = RNG.normal(size=500) + 1j * RNG.normal(size=500)


@njit(cache=False)
def turn_of(x):
    return cos_sin_of_turn(x)


@njit(cache=False)
def logarithm_of(x):
    return logarithm(x)


@njit(cache=False)
def exponential_of(x):
    return exponential(x)


@njit(cache=False)
def arc_sine_of(x):
    return arc_sine(x)


@njit(cache=False)
def square_root_of(z):
    return square_root(z)


@njit(cache=False)
def phase_of(z):
    return phase(z)


def plain(name, monkeypatch):
    """A function as plain Python, as are those that it calls."""
    functions = (arc_sine, cos_sin_of_turn, exponential, logarithm, phase, square_root)
    for inner in (*functions, elementary_kernels._short_arc_sine):
        monkeypatch.setattr(elementary_kernels, inner.py_func.__name__, inner.py_func)
    return getattr(elementary_kernels, name)


def assert_close(found, expected, *, unit=None):
    """Fail if a result is off by more than `UNITS` of the last place of what is expected, or of ``unit``."""
    for one, other in zip(found, expected, strict=True):
        assert abs(one - other) <= UNITS * math.ulp(other if unit is None else unit)


def test_the_logarithm_is_accurate():
    assert_close([logarithm_of(x) for x in UNIFORMS], [math.log(x) for x in UNIFORMS])


def test_the_exponential_is_accurate():
    assert_close([exponential_of(x) for x in NEGATIVE], [math.exp(x) for x in NEGATIVE])
    assert exponential_of(-701.0) == 0.0


def test_the_arc_sine_is_accurate():
    assert_close([arc_sine_of(x) for x in SIGNED], [math.asin(x) for x in SIGNED])


def test_cosine_and_sine_of_turns_are_accurate():
    turns = np.concatenate([UNIFORMS, SIGNED, 20 * SIGNED])
    found = [turn_of(x) for x in turns]
    # The angle of the library is rounded before it is taken: compare with a unit of 1.
    parts = turns - np.round(turns)
    assert_close([cosine for cosine, _ in found], np.cos(2 * np.pi * parts).tolist(), unit=1.0)
    assert_close([sine for _, sine in found], np.sin(2 * np.pi * parts).tolist(), unit=1.0)
    assert turn_of(0.25) == (0.0, 1.0)
    assert turn_of(0.5) == (-1.0, 0.0)


def test_roots_are_the_principal_ones():
    for z in [*COMPLEX, 0j, 4 + 0j, -4 + 0j, 1e-100j]:
        assert abs(square_root_of(z) - cmath.sqrt(z)) <= 4e-16 * abs(cmath.sqrt(z))
    # A wave that fades behind a border, whatever the sign of zero.
    assert square_root_of(complex(-4.0, -0.0)) == 2j


def test_a_phase_is_the_exponential_of_turns():
    for z in COMPLEX:
        expected = cmath.exp(2j * math.pi * z)
        assert abs(phase_of(z) - expected) <= 1e-14 * abs(expected)


@pytest.mark.parametrize(
    ("name", "compiled", "arguments"),
    [
        ("logarithm", logarithm_of, UNIFORMS),
        ("exponential", exponential_of, NEGATIVE),
        ("arc_sine", arc_sine_of, SIGNED),
        ("cos_sin_of_turn", turn_of, SIGNED),
        ("square_root", square_root_of, COMPLEX),
        ("phase", phase_of, COMPLEX),
    ],
)
def test_plain_python_gives_the_same_bits(monkeypatch, name, compiled, arguments):
    expected = [compiled(x) for x in arguments.tolist()]
    function = plain(name, monkeypatch)
    assert [function(x) for x in arguments.tolist()] == expected
