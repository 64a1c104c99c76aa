"""A command of std-daq as a plain user calls it, whom the modes of files hold, also where root runs the tests."""

import subprocess
import sys
from collections.abc import Sequence

_CALL = """
import ctypes, os, sys
for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)
os.execv(sys.executable, [sys.executable, "-m", "std_daq.cli", *sys.argv[1:]])
"""


def run_as_plain_user(arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run ``std-daq`` with these arguments, and return its exit code and what it printed."""
    command = [sys.executable, "-c", _CALL, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
