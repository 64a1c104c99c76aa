"""Ordered reads and writes of 64-bit words in shared memory: compiled if numba is installed, otherwise plain Python.

Services have numba. A notebook with the bare package has not, and can still read rings.
"""

try:
    from std_daq.native.atomics import (
        begin_write,
        end_write,
        fence,
        is_unchanged,
        load_acquire,
        publish,
        store_release,
    )
except ModuleNotFoundError as error:
    if error.name not in {"numba", "llvmlite"}:
        raise
    from std_daq.native.plain_atomics import (
        begin_write,
        end_write,
        fence,
        is_unchanged,
        load_acquire,
        publish,
        store_release,
    )

__all__ = ["begin_write", "end_write", "fence", "is_unchanged", "load_acquire", "publish", "store_release"]
