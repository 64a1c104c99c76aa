"""`njit` and `kernel`: all code of the platform is compiled through them.

Numba chooses where it keeps the machine code of a function as it decorates the function. So the cache has to be
prepared before the first one is decorated, and nobody must forget that. Here it cannot be forgotten: whoever decorates
a function imports this module, and this module prepares the cache as it is imported. ``import std_daq`` does nothing
of the kind.

`kernel` is for functions that Python calls, `njit` for those that are called by compiled code:

    PIXELS = types.Array(types.uint16, 2, "C", readonly=True)

    @njit(inline="always")
    def is_bad(pixel):
        return pixel == 0xFFFF

    @kernel(types.int64(PIXELS))
    def count_bad(pixels):
        ...
"""

import functools
import threading
from collections.abc import Callable, Mapping
from typing import Any

import numba
from numba.core import sigutils

from std_daq.native.compile_cache import use_own_cache
from std_daq.native.compiling import compiling
from std_daq.native.processor_level import use_processor_level

use_processor_level()
use_own_cache()


def njit(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Compile a function as `numba.njit` does; it runs without Python's lock, and its machine code is kept on disk.

    It is compiled for the types that it is called with.

    Parameters
    ----------
    options
        As for `numba.njit`. A function with ``inline="always"`` becomes a part of its callers, and has no machine code
        of its own to keep.
    """
    chosen: dict[str, Any] = {"nogil": True, "cache": options.get("inline") != "always", **options}
    return numba.njit(**chosen) if function is None else numba.njit(function, **chosen)


def njit_now(signature: Any) -> Any:
    """Compile a function for this signature as it is decorated, for compiled code and for Python to call."""

    def decorate(function: Callable[..., Any]) -> Any:
        dispatcher = njit(function)
        with compiling(_name(function), is_told=False):
            dispatcher.compile(signature)
        dispatcher.disable_compile()
        return dispatcher

    return decorate


def kernel(signatures: Any, **options: Any) -> Any:
    """Declare a function for Python to call, for certain types; each is compiled once somebody needs it.

    Parameters
    ----------
    signatures
        One signature; or several, each under the name of the pixel type that it is for, as ``{"uint16": ...}``.
    options
        As for `njit`.
    """

    def decorate(function: Callable[..., Any]) -> Kernel:
        return Kernel(function, signatures, options)

    return decorate


class Kernel:
    """A function that is compiled ahead by `compile`, or else as it is called for the first time.

    Attributes
    ----------
    py_func
        The function as it is written, for plain Python.
    """

    def __init__(self, function: Callable[..., Any], signatures: Any, options: Mapping[str, Any]) -> None:
        functools.update_wrapper(self, function)
        self.py_func = function
        self._options = dict(options)
        self._dispatcher = njit(function, **options)
        self._waiting: dict[str, Any] = dict(signatures) if isinstance(signatures, Mapping) else {"": signatures}
        self._lock = threading.Lock()

    def __call__(self, *arguments: Any) -> Any:
        """Call it; raises TypeError where it is not declared for these arguments."""
        if self._dispatcher.overloads:
            try:
                return self._dispatcher(*arguments)
            except TypeError:
                if not self._waiting:
                    raise
        self.compile(self._pixel_of(arguments))
        return self._dispatcher(*arguments)

    @property
    def pixels(self) -> tuple[str, ...]:
        """Names of the pixel types that it is not yet compiled for; one empty name where it has only one signature."""
        return tuple(self._waiting)

    def compile(self, pixel: str = "") -> None:
        """Compile it for a type of pixels, or load what the cache has; needs no name where there is one signature."""
        with self._lock:
            signature = self._waiting.get(pixel)
            if signature is None:
                return
            # Another thread may call the function meanwhile. It goes on with the dispatcher that it has, which never
            # compiles for the types that it happens to be called with; this one takes its place when it is complete.
            dispatcher = njit(self.py_func, **self._options)
            for known in self._dispatcher.nopython_signatures:
                dispatcher.compile(known)
            with compiling(".".join(filter(None, (_name(self.py_func), pixel)))):
                dispatcher.compile(signature)
            dispatcher.disable_compile()
            self._dispatcher = dispatcher
            del self._waiting[pixel]

    def _pixel_of(self, arguments: tuple[Any, ...]) -> str:
        """Return the pixel type that these arguments are of."""
        given = [numba.typeof(argument) for argument in arguments]
        can_convert = self._dispatcher.typingctx.can_convert
        for pixel, signature in tuple(self._waiting.items()):
            wanted = sigutils.normalize_signature(signature)[0]
            if len(given) == len(wanted) and all(map(lambda a, b: can_convert(a, b) is not None, given, wanted)):
                return pixel
        raise TypeError(f"{_name(self.py_func)} is not declared for {', '.join(map(str, given))}")


def _name(function: Callable[..., Any]) -> str:
    return f"{function.__module__}.{function.__qualname__}"
