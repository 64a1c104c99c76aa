"""What `import std_daq` does: nothing."""

import os
import subprocess
import sys
from pathlib import Path

IMPORT = """
import os, sys
before, environment = set(sys.modules), dict(os.environ)
import std_daq
print(*(set(sys.modules) - before))
assert dict(os.environ) == environment
"""


def test_import_loads_no_other_module_changes_no_environment_and_touches_no_file(tmp_path: Path) -> None:
    environment = {**os.environ, "STD_DAQ_CPU": "x86-64-v2", "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", IMPORT]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=20)
    assert done.stdout.split() == ["std_daq"]
    assert list(tmp_path.iterdir()) == []
