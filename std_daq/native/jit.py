"""`njit`: all code of the platform is compiled through it.

Numba chooses where it keeps the machine code of a function as it decorates the function. So the cache has to be
prepared before the first one is decorated, and nobody must forget that. Here it cannot be forgotten: whoever decorates
a function imports this module, and this module prepares the cache as it is imported. ``import std_daq`` does nothing
of the kind.
"""

from typing import Any

import numba

from std_daq.native.compile_cache import use_own_cache
from std_daq.native.processor_level import use_processor_level

use_processor_level()
use_own_cache()


def njit(*signatures: Any, **options: Any) -> Any:
    """Compile a function as `numba.njit` does; it runs without Python's lock, and its machine code is kept on disk.

    Parameters
    ----------
    signatures
        As for `numba.njit`: nothing, a signature, a list of signatures, or the function itself.
    options
        As for `numba.njit`. A function with ``inline="always"`` becomes a part of its callers, and has no machine code
        of its own to keep.
    """
    chosen: dict[str, Any] = {"nogil": True, "cache": options.get("inline") != "always", **options}
    return numba.njit(*signatures, **chosen)
