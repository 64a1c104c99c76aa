"""Makes a process end when the one that has started it ends, even if that was killed."""

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
    end_with_parent(int(supervisor), signal.SIGTERM)


def end_with_parent(parent: int, sent: int = signal.SIGKILL) -> None:
    """Ask the kernel to send a signal to this process when its parent ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, sent, 0, 0, 0)
    if os.getppid() != parent:
        # The parent ended before prctl was called, so the kernel will send no signal.
        os.kill(os.getpid(), sent)
