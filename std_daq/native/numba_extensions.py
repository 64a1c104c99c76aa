"""Compiling without the packages that extend numba, which std-daq has no use for.

Before numba compiles, or loads from its cache, the first function of a process, it imports every installed package that
extends it (entry points of the group ``numba_extensions``). With awkward installed, each service would start 0.3 s
later and take 60 MB more. Extensions stay what they are for a user's program: numba imports them as soon as that
compiles a function of its own.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from numba.core import entrypoints

_FLAG = "_already_initialized"  # numba's own
_lock = threading.Lock()
_n_inside = 0
_were_imported = False


@contextmanager
def without_extensions() -> Iterator[None]:
    """Context in which numba imports no extensions; threads may be in it at the same time."""
    global _n_inside, _were_imported
    with _lock:
        if _n_inside == 0:
            _were_imported = getattr(entrypoints, _FLAG)
            setattr(entrypoints, _FLAG, True)
        _n_inside += 1
    try:
        yield
    finally:
        with _lock:
            _n_inside -= 1
            if _n_inside == 0:
                setattr(entrypoints, _FLAG, _were_imported)
