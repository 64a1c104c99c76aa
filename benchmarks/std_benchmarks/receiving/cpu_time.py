"""CPU time of other threads and processes, in full precision."""

import ctypes
import os
import threading
import time
from collections.abc import Callable

from std_daq.errors import ResourceError


def started_by(start: Callable[[], object]) -> threading.Thread:
    """Call what starts one thread; returns that thread."""
    before = set(threading.enumerate())
    start()
    (thread,) = set(threading.enumerate()) - before
    return thread


def thread_s(thread: threading.Thread) -> float:
    """Return the CPU seconds of a thread that runs."""
    if thread.ident is None:
        raise ValueError(f"{thread.name} was not started")
    return time.clock_gettime(time.pthread_getcpuclockid(thread.ident))


def process_s(pid: int) -> float:
    """Return the CPU seconds of a process with all its threads; raises ResourceError if it is gone."""
    clock = ctypes.c_int()
    error = ctypes.CDLL(None).clock_getcpuclockid(pid, ctypes.byref(clock))
    if error:
        raise ResourceError(f"process {pid} has no clock: {os.strerror(error)}")
    return time.clock_gettime(clock.value)
