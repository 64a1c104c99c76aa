"""The processors that code is compiled for: this one, or all processors of a level.

By default, numba compiles for the processor of this machine, and uses cached code only on the same kind of processor. A
container image is built on one machine and runs on others. So its code is compiled for a level of the x86-64 psABI,
which the environment variable STD_DAQ_CPU names. Example: code for ``x86-64-v3`` runs on every processor with AVX2.
"""

import os
import sys
from pathlib import Path

from std_daq.native.numba_settings import keep

VARIABLE = "STD_DAQ_CPU"
HOST = "host"
_CPUINFO = Path("/proc/cpuinfo")
_CPUINFO_BYTES = 8192  # enough for the flags of the first processor

# What the x86-64 psABI demands, in the names of /proc/cpuinfo, beyond what every processor of the last 15 years has.
_V3 = frozenset({"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"})
_V4 = frozenset({"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"})
LEVELS = {"x86-64-v2": frozenset[str](), "x86-64-v3": _V3, "x86-64-v4": _V3 | _V4}


def use_processor_level(cpuinfo: Path = _CPUINFO) -> str:
    """Make numba compile for the level in STD_DAQ_CPU; returns the level, or HOST.

    If the processor does not reach the level, code is compiled for this processor: the first start takes longer, and
    everything works.

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
    # If no features are given, numba adds those of this processor.
    keep(CPU_NAME=level, CPU_FEATURES="")
    return level


def _flags(cpuinfo: Path) -> set[str]:
    try:
        with cpuinfo.open("rb") as file:
            text = file.read(_CPUINFO_BYTES).decode(errors="replace")
    except OSError:
        return set()
    return next((set(line.split()[2:]) for line in text.splitlines() if line.startswith("flags")), set())
