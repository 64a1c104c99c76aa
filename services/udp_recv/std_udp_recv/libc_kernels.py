"""Decorators that compile functions of this service, and the functions of libc that they call.

libc is called through ``ExternalFunction``, because compiled code that uses ctypes cannot be cached on disk.
"""

from typing import Any

import numpy as np
from numba import types
from numba.extending import register_jitable

from std_daq.native.jit import njit

# Without numba's run-time (`_nrt`), compiled code cannot allocate memory and counts no references. Counting references
# to all arrays of a Port in every call took ten times as long as the work itself: 1.4 us per packet instead of 0.14 us.
compiled: Any = njit(_nrt=False)
"""Decorator of functions that Python calls."""
# Python and C never call these functions, so compiling wrappers for such calls would only make the first start slower.
compilable: Any = register_jitable(nogil=True, _nrt=False, no_cpython_wrapper=True, no_cfunc_wrapper=True)
"""Decorator of functions that only compiled code calls. Called from Python, such a function is plain Python."""

EINTR = 4
EAGAIN = 11
MSG_DONTWAIT = 0x40
MSG_WAITFORONE = 0x10000
CLOCK_REALTIME = np.int32(0)
CLOCK_MONOTONIC = np.int32(1)

_INT, _SIZE, _POINTER = types.int32, types.intp, types.intp

memcpy: Any = types.ExternalFunction("memcpy", _POINTER(_POINTER, _POINTER, _SIZE))
memcmp: Any = types.ExternalFunction("memcmp", _INT(_POINTER, _POINTER, _SIZE))
memset: Any = types.ExternalFunction("memset", _POINTER(_POINTER, _INT, _SIZE))
recvmmsg: Any = types.ExternalFunction("recvmmsg", _INT(_INT, _POINTER, types.uint32, _INT, _POINTER))
usleep: Any = types.ExternalFunction("usleep", _INT(types.uint32))
eventfd_write: Any = types.ExternalFunction("eventfd_write", _INT(_INT, types.uint64))
errno_location: Any = types.ExternalFunction("__errno_location", types.CPointer(_INT)())
_clock_gettime: Any = types.ExternalFunction("clock_gettime", _INT(_INT, _POINTER))

TIMESPEC = np.dtype([("seconds", "i8"), ("nanoseconds", "i8")], align=True)


@compilable
def now_ns(clock: int, timespec: Any) -> int:
    """Return the time of a clock in nanoseconds; ``timespec``, an array of one `TIMESPEC`, is overwritten."""
    _clock_gettime(clock, timespec.ctypes.data)
    return timespec[0].seconds * 1_000_000_000 + timespec[0].nanoseconds
