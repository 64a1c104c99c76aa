"""CPU time of other threads and processes, in full precision."""

import ctypes
import os
import time

from std_daq.errors import ResourceError


def other_threads_s() -> float:
    """Return the CPU seconds of all threads of this process, ended ones too, but for the calling one."""
    return time.process_time() - time.thread_time()


def process_s(pid: int) -> float:
    """Return the CPU seconds of a process with all its threads; raises ResourceError if it is gone."""
    clock = ctypes.c_int()
    error = ctypes.CDLL(None).clock_getcpuclockid(pid, ctypes.byref(clock))
    if error:
        raise ResourceError(f"process {pid} has no clock: {os.strerror(error)}")
    return time.clock_gettime(clock.value)
