"""Makes a supervised process end when its supervisor ends, even if the supervisor was killed."""

import ctypes
import os
import signal

SUPERVISOR_VARIABLE = "STD_DAQ_SUPERVISOR_PID"
_PR_SET_PDEATHSIG = 1


def end_with_supervisor() -> None:
    """Ask the kernel to send SIGTERM when the supervisor ends; does nothing in a process without a supervisor."""
    supervisor = os.environ.get(SUPERVISOR_VARIABLE)
    if supervisor is None:
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != int(supervisor):
        # The supervisor ended before prctl was called, so the kernel will send no signal.
        os.kill(os.getpid(), signal.SIGTERM)
