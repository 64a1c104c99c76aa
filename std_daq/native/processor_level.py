"""For which processors code is compiled: for this very one, or for all of a level, as in an image.

Numba compiles for the processor that it runs on, and finds in its cache only what was compiled for that processor. An
image is built on one machine and runs on others. So its code is compiled for a level of the x86-64 psABI, which the
environment's STD_DAQ_CPU names: with ``x86-64-v3`` it runs on each processor that has AVX2.
"""

import os
import sys
from pathlib import Path
from typing import Any

import numba

numba_config: Any = numba.config  # whose names numba sets as it reads the environment

VARIABLE = "STD_DAQ_CPU"
HOST = "host"
_CPUINFO = Path("/proc/cpuinfo")
_CPUINFO_BYTES = 8192  # the flags of the first of many processors

# Names of /proc/cpuinfo for what the x86-64 psABI asks for, beyond what every processor of the last 15 years has.
_V3 = frozenset({"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"})
_V4 = frozenset({"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"})
LEVELS = {"x86-64-v2": frozenset[str](), "x86-64-v3": _V3, "x86-64-v4": _V3 | _V4}


def use_processor_level(cpuinfo: Path = _CPUINFO) -> str:
    """Make numba compile for the level of the environment; returns what it compiles for.

    A processor may have less than the level asks for. Then code is compiled for that processor: the first start takes
    longer, and all works.

    Raises
    ------
    ValueError
        STD_DAQ_CPU names no level.
    """
    level = os.environ.get(VARIABLE) or HOST
    if level == HOST:
        return HOST
    if level not in LEVELS:
        raise ValueError(f"{VARIABLE}: there is no {level!r}; known: {', '.join(LEVELS)}, {HOST}")
    missing = LEVELS[level] - _flags(cpuinfo)
    if missing:
        sys.stderr.write(f"compiling for this processor: it is no {level}, it lacks {' '.join(sorted(missing))}\n")
        return HOST
    # Without features numba adds those of this very processor.
    numba_config.CPU_NAME, numba_config.CPU_FEATURES = level, ""
    return level


def _flags(cpuinfo: Path) -> set[str]:
    try:
        with cpuinfo.open("rb") as file:
            text = file.read(_CPUINFO_BYTES).decode(errors="replace")
    except OSError:
        return set()
    return next((set(line.split()[2:]) for line in text.splitlines() if line.startswith("flags")), set())
