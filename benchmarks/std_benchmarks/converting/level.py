"""Conversions by code for a level of processors, as images have it: ``STD_DAQ_CPU=... python -m <this> FOLDER N``.

Prints modules a CPU second of each case and the ratio to its copy in the same turns, as JSON.
"""

import json
import statistics
import sys
import tempfile
from pathlib import Path

from std_benchmarks.converting.jungfrau import JungfrauCase
from std_benchmarks.converting.placed import gigafrost_rings
from std_benchmarks.turns import take_turns


def main() -> None:
    """Measure below the given folder, with the given number of turns."""
    parent, repeats = Path(sys.argv[1]), int(sys.argv[2])
    result = {}
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        case = JungfrauCase(Path(folder), 4)
        ours, copies = take_turns([case.rings.convert, lambda: case.rings.copy(case.tables)], repeats)
        case.check()
        result["JUNGFRAU, 4 modules"] = _summary(ours, copies)
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        rings, images = gigafrost_rings(Path(folder))
        ours, copies = take_turns([rings.convert, rings.copy], repeats)
        rings.check(iter(images))
        result["GIGAFROST"] = _summary(ours, copies)
    sys.stdout.write(json.dumps(result))


def _summary(ours: list[float], copies: list[float]) -> dict[str, float]:
    ratio = statistics.median(own / copy for own, copy in zip(ours, copies, strict=True))
    return {"modules_per_s": round(statistics.median(ours)), "ratio": round(ratio, 3)}


if __name__ == "__main__":
    main()
