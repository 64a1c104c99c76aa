"""Packages that extend numba are imported for a user's functions, and not for those of std-daq."""

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys
from std_daq.native import atomics
from std_daq.native.jit import kernel
from numba import types
answer = kernel(types.int64())(lambda: 42)
assert answer() == 42
print("extension" in sys.modules)
import numba
assert numba.njit(lambda: 43)() == 43
print("extension" in sys.modules)
"""


def test_extensions_are_imported_when_a_user_compiles(tmp_path: Path) -> None:
    (tmp_path / "extension.py").write_text("def init(): pass\n")
    described = tmp_path / "extension-1.0.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: extension\nVersion: 1.0\n")
    (described / "entry_points.txt").write_text("[numba_extensions]\ninit = extension:init\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    (tmp_path / "program.py").write_text(PROGRAM)
    output = subprocess.check_output([sys.executable, tmp_path / "program.py"], env=environment, text=True)
    assert output.split() == ["False", "True"]
