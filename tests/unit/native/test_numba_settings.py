import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import os
from std_daq.native.jit import kernel
from numba import int64

import numba

@numba.njit
def of_another(number):
    return number + 1

@kernel(int64(int64))
def twice(number):
    return 2 * number

os.environ["NUMBA_FUNCTION_CACHE_SIZE"] = "100"
of_another(1)  # numba reads its variables again
twice(1)

@kernel(int64(int64))
def thrice(number):
    return 3 * number

assert thrice(1) == 3
print(numba.config.CACHE_DIR, numba.config.CPU_NAME, numba.config.FUNCTION_CACHE_SIZE)
"""


@pytest.mark.long
def test_cache_and_processor_stay_when_the_environment_changes(tmp_path: Path) -> None:
    cache, folder = tmp_path / "cache", tmp_path / "folder"
    folder.mkdir()
    program = folder / "program.py"
    program.write_text(PROGRAM)
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache), "STD_DAQ_CPU": "x86-64-v2"}
    ended = subprocess.run(
        [sys.executable, program], cwd=folder, env=environment, capture_output=True, text=True, timeout=90, check=False
    )
    assert ended.returncode == 0, ended.stderr
    kept_cache, level, cache_size = ended.stdout.split()
    assert (Path(kept_cache).parent, level, cache_size) == (cache, "x86-64-v2", "100")
    assert list(folder.iterdir()) == [program]
    marks = [mark.name for mark in (Path(kept_cache) / "compiled").iterdir() if mark.stat().st_size]
    assert sorted(mark.split("-")[0] for mark in marks) == ["__main__.thrice", "__main__.twice"]
