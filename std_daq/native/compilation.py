"""Compiles the hot loops into the cache on disk: ``python -m std_daq.native.compilation``, once after an installation.

Who has compiled code names it in the entry point group ``std_daq.compiled``: a module whose functions are compiled as
it is imported, or a function that compiles those that are compiled at their first call. Services and detectors that a
site has installed are found in the same way, and every start is as quick as any other.
"""

import sys
import time
from importlib.metadata import entry_points
from types import ModuleType

ENTRY_POINT_GROUP = "std_daq.compiled"


def compile_all() -> list[str]:
    """Compile everything, or find it in the cache; returns the names of what there is."""
    entries = sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda entry: entry.name)
    for entry in entries:
        compiled = entry.load()
        if not isinstance(compiled, ModuleType):
            compiled()
    return [entry.name for entry in entries]


def main() -> int:
    """Compile, and say what and how long it took; returns the exit code."""
    began_at = time.monotonic()
    names = compile_all()
    sys.stdout.write(f"compiled in {time.monotonic() - began_at:.0f} s: {', '.join(names)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
