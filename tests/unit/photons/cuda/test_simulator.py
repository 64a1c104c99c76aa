"""The engine for GPUs where there is none: numba's simulator runs its threads as plain Python."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("numba_cuda", reason="needs numba-cuda: pip install 'std-daq[cuda]'")

TESTS = Path(__file__).with_name("test_gpu.py")
ROOT = Path(__file__).parents[4]


@pytest.mark.long
def test_the_simulator_of_a_gpu_gives_the_same_bytes_as_processor_cores():
    # A process of its own: numba looks at the variable once. Plain Python warns where numbers of the tests of boxes
    # pass the range of float32, which compiled code does not.
    done = subprocess.run(
        [sys.executable, "-m", "pytest", TESTS, "--broker", "node", "-p", "no:cacheprovider", "-q",
         "-W", "ignore::RuntimeWarning"],
        env={**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}, cwd=ROOT, capture_output=True, text=True, timeout=110,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    passed, skipped = re.findall(r"(\d+) passed", done.stdout), re.findall(r"(\d+) skipped", done.stdout)
    assert int(passed[0]) >= 13, done.stdout
    assert skipped == ["1"], done.stdout
