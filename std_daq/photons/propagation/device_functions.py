"""Functions of the physics in the form that a kernel for a GPU calls: the same source, compiled for the device.

Only two small functions have another source there: the test of boxes and the search for a bit, which are vector
instructions on a processor.
"""

import functools
from types import FunctionType
from typing import Any

from numba import cuda
from numba.core.dispatcher import Dispatcher
from numba.cuda.core import config

from std_daq.photons.propagation.box_kernels import (
    enter_children,
    enter_children_in_turn,
    lowest,
    lowest_in_turn,
)

_SOURCES = {enter_children: enter_children_in_turn, lowest: lowest_in_turn}

IS_SIMULATED: bool = bool(config.ENABLE_CUDASIM)
"""Whether numba's simulator takes the place of a GPU, because of NUMBA_ENABLE_CUDASIM; it runs plain Python."""


@functools.cache
def for_device(function: Any) -> Any:
    """Return the form of a compiled function for the device; so are all functions that it calls."""
    source = _SOURCES.get(function, function.py_func)
    names = dict(source.__globals__)
    for name in source.__code__.co_names:
        if isinstance(names.get(name), Dispatcher):
            names[name] = for_device(names[name])
    form = FunctionType(source.__code__, names, source.__name__, source.__defaults__, source.__closure__)
    functools.update_wrapper(form, source)
    return form if IS_SIMULATED else cuda.jit(form, device=True)
