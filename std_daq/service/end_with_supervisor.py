"""A supervised process ends when its supervisor does, even when that was killed."""

import ctypes
import os
import signal

SUPERVISOR_VARIABLE = "STD_DAQ_SUPERVISOR_PID"
_PR_SET_PDEATHSIG = 1


def end_with_supervisor() -> None:
    """Ask the kernel for a SIGTERM at the supervisor's end; does nothing in a process that has no supervisor."""
    supervisor = os.environ.get(SUPERVISOR_VARIABLE)
    if supervisor is None:
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != int(supervisor):
        # It ended before the kernel was asked.
        os.kill(os.getpid(), signal.SIGTERM)
