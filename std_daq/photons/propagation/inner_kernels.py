"""The decorators of functions that only compiled code calls."""

import functools
from typing import Any

from std_daq.native.jit import njit

inner: Any = functools.partial(
    njit,
    error_model="numpy",  # a division by zero gives infinity, and is not looked for
    _nrt=False,  # nothing is allocated; to count references to the arrays of a scene takes half of the time
    cache=False,  # it is a part of the machine code of its callers, which is kept
    no_cpython_wrapper=True,
    no_cfunc_wrapper=True,
)
"""Compile a function that several others call."""

inlined: Any = functools.partial(inner, forceinline=True)
"""Compile a function that is called in one place: it becomes a part of its caller, and nothing is handed over."""
