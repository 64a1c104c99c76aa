"""`njit` and `kernel`: the decorators for all compiled code of the platform.

Numba chooses the cache folder of a function when the function is decorated. So the cache must be prepared before the
first function is decorated. This module prepares it at import, and every module with compiled functions imports this
one. ``import std_daq`` alone does not prepare the cache.

Use `kernel` for functions that Python calls, and `njit` for functions that compiled code calls:

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
from std_daq.native.numba_settings import restore
from std_daq.native.processor_level import use_processor_level

use_processor_level()
use_own_cache()


def njit(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Compile a function as `numba.njit` does; it releases the GIL, and its machine code is kept on disk.

    It is compiled for the types of the arguments that it is called with.

    Parameters
    ----------
    options
        As for `numba.njit`. A function with ``inline="always"`` becomes a part of its callers, so it has no machine
        code of its own.
    """
    restore()
    chosen: dict[str, Any] = {"nogil": True, "cache": options.get("inline") != "always", **options}
    return numba.njit(**chosen) if function is None else numba.njit(function, **chosen)


def njit_now(signature: Any) -> Any:
    """Compile a function for one signature when it is decorated; compiled code and Python may call it."""

    def decorate(function: Callable[..., Any]) -> Any:
        dispatcher = njit(function)
        with compiling(_name(function), is_told=False):
            dispatcher.compile(signature)
        dispatcher.disable_compile()
        return dispatcher

    return decorate


def kernel(signatures: Any, **options: Any) -> Any:
    """Declare a function that Python calls, with its signatures; each signature is compiled when it is first needed.

    Parameters
    ----------
    signatures
        One signature, or a dictionary of signatures by pixel type, such as ``{"uint16": ...}``.
    options
        As for `njit`.
    """

    def decorate(function: Callable[..., Any]) -> Kernel:
        return Kernel(function, signatures, options)

    return decorate


class Kernel:
    """A function that is compiled by `compile`, or otherwise at its first call.

    Attributes
    ----------
    py_func
        The original function, which runs as plain Python.
    """

    def __init__(self, function: Callable[..., Any], signatures: Any, options: Mapping[str, Any]) -> None:
        functools.update_wrapper(self, function)
        self.py_func = function
        self._options = dict(options)
        self._dispatcher = njit(function, **options)
        self._waiting: dict[str, Any] = dict(signatures) if isinstance(signatures, Mapping) else {"": signatures}
        self._lock = threading.Lock()

    def __call__(self, *arguments: Any) -> Any:
        """Call the function; raises TypeError if no signature fits the arguments."""
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
        """Pixel types that are not compiled yet; a kernel with a single signature has one empty name."""
        return tuple(self._waiting)

    def compile(self, pixel: str = "") -> None:
        """Compile the signature for a pixel type, or load it from the cache; a single signature has an empty name."""
        with self._lock:
            signature = self._waiting.get(pixel)
            if signature is None:
                return
            # Another thread may call the function meanwhile, and goes on with the old dispatcher. A dispatcher in use
            # must not compile anything, so a new one is completed first, and then takes the place of the old one.
            dispatcher = njit(self.py_func, **self._options)
            for known in self._dispatcher.nopython_signatures:
                dispatcher.compile(known)
            with compiling(".".join(filter(None, (_name(self.py_func), pixel)))):
                dispatcher.compile(signature)
            dispatcher.disable_compile()
            self._dispatcher = dispatcher
            del self._waiting[pixel]

    def _pixel_of(self, arguments: tuple[Any, ...]) -> str:
        """Return the pixel type whose signature fits the arguments."""
        given = [numba.typeof(argument) for argument in arguments]
        can_convert = self._dispatcher.typingctx.can_convert
        for pixel, signature in tuple(self._waiting.items()):
            wanted = sigutils.normalize_signature(signature)[0]
            if len(given) == len(wanted) and all(map(lambda a, b: can_convert(a, b) is not None, given, wanted)):
                return pixel
        raise TypeError(f"{_name(self.py_func)} is not declared for {', '.join(map(str, given))}")


def _name(function: Callable[..., Any]) -> str:
    return f"{function.__module__}.{function.__qualname__}"
