"""Starts the viewer of Rerun's package so that it ends with the process that started it, even if that is killed.

Arguments: PARENT PROGRAM ARGUMENTS...
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # is kept by execv


def main() -> None:
    """Become the viewer."""
    parent, program, *arguments = sys.argv[1:]
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() == int(parent):
        os.execv(program, [program, *arguments])  # noqa: S606 -- without a shell


if __name__ == "__main__":
    main()
