"""The engine computes the same bits on every processor, so its machine code has only what IEEE 754 fixes."""

import re

import pytest

from std_daq.native.jit import njit
from std_daq.photons.propagation.border_kernels import film_shares
from std_daq.photons.propagation.direction_kernels import isotropic, rayleigh
from std_daq.photons.propagation.table_kernels import drawn_delay

FUSED = r"\bv?fn?m(?:add|sub|la|ls)\w*"  # of x86 and of ARM
PRODUCT = r"\bv?mul[sp]d\b|\bfmul\b"
OF_LIBRARIES = r"\b_*(?:sin|cos|sincos|tan|asin|acos|atan2?|exp2?|log2?|log1p|pow|hypot|csqrt|cexp)f?\b"


@njit(cache=False)
def elementary(decays, e, u, v, w):
    """Everything in a photon's way that is made of sines, logarithms, and complex numbers."""
    n = film_shares(1.33, complex(2.0 + u, v), 20.0, 1.0, 400.0, w, u < v)
    return rayleigh(e, u, v, w), isotropic(u, v, w), drawn_delay(decays, 0, 2, 1.5, u, v, w), n


@pytest.mark.long
def test_the_machine_code_fuses_nothing_and_asks_no_mathematical_library():
    elementary.compile("(float64[:, ::1], UniTuple(float64, 3), float64, float64, float64)")
    (code,) = elementary.inspect_asm().values()
    assert len(re.findall(PRODUCT, code)) > 100
    assert re.findall(FUSED, code) == []
    named = set(re.findall(r"[A-Za-z_.][\w.]*", code))
    assert "numba_frexp" in " ".join(named)  # which is exact; so functions of libraries would be seen
    assert [name for name in named if re.fullmatch(OF_LIBRARIES, name)] == []
