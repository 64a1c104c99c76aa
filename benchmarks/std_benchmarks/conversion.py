"""What one core converts: frames as they lie in the FrameBuffer become pixels of the image.

*Ours* is what the assembler calls for each module, the detector's converter, with all that it does: rows that did not
arrive are looked for, gaps left out, modules flipped, masked pixels filled. Frames and images lie in shared memory, in
rings larger than the caches, as in operation. All times are CPU times of the one thread.

The first *reference* is memcpy, which does nothing to what it moves. For a frame of m bytes that become n it copies
(m + n) / 2, so that it reads and writes as many bytes as the conversion. JUNGFRAU's reference also reads once the
tables that nearly all pixels need, pedestal and inverse gain of gain 0: 8 bytes a pixel, more than the pixel
itself.

JUNGFRAU's second reference is the correction as one writes it down, ``if code == 0 ... elif code == 1 ...``, with a
plane of pedestals and of inverse gains for each code. It is compiled by the C compiler for this machine, and by
numba; the faster one of the run counts. It corrects one frame without placing it: it knows no missing packets, no
gaps, no mask.

Frames are realistic: photons, a pixel in a thousand in gain 1 or 2. Frames with random gain codes, the hardest
there are, are among the details, and so is code for the level of processors that images are made for
(``x86-64-v3``). All images, and those of the plain correction, are compared with what plain numpy computes, byte by
byte.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from std_benchmarks.converting.jungfrau import JungfrauCase
from std_benchmarks.converting.placed import eiger_rings, gigafrost_rings
from std_benchmarks.figure import Figure, Target
from std_benchmarks.setting import Setting
from std_benchmarks.turns import take_turns
from std_daq.native.processor_level import VARIABLE

UNIT = "modules/s"
JUNGFRAU_MODULES = (1, 4)
"""The tables of one module fit into the caches of many processors, those of four hardly."""
EIGER_BIT_DEPTHS = (4, 8, 16, 32)
IMAGE_LEVEL = "x86-64-v3"
HARD_REPEATS = 3


def measure(setting: Setting) -> Iterator[Figure]:
    """Give the figures of all detectors."""
    setting.progress(f"code for {IMAGE_LEVEL}")
    level = _measure_level(setting)
    for n_modules in JUNGFRAU_MODULES:
        setting.progress(f"JUNGFRAU, modules: {n_modules}")
        with _folder(setting) as folder:
            yield from _measure_jungfrau(JungfrauCase(folder, n_modules), n_modules, setting, level)
    for bit_depth in EIGER_BIT_DEPTHS:
        setting.progress(f"EIGER, {bit_depth} bits")
        with _folder(setting) as folder:
            rings, images = eiger_rings(folder, bit_depth)
            ours, copies = take_turns([rings.convert, rings.copy], setting.repeats)
            rings.check(iter(images))
        details = {"bytes_in": rings.frame_bytes, "bytes_out": rings.pixel_bytes}
        name = f"placement, EIGER, {bit_depth} bits"
        yield Figure(name, UNIT, ours, "memcpy", copies, Target.at_least(0.7), details)
    setting.progress("GIGAFROST")
    with _folder(setting) as folder:
        rings, images = gigafrost_rings(folder)
        ours, copies = take_turns([rings.convert, rings.copy], setting.repeats)
        rings.check(iter(images))
    details = {"bytes_in": rings.frame_bytes, "bytes_out": rings.pixel_bytes} | _of_level(level, "GIGAFROST")
    yield Figure("unpacking, GIGAFROST", UNIT, ours, "memcpy", copies, Target.at_least(0.4), details)


def _measure_jungfrau(
    case: JungfrauCase, n_modules: int, setting: Setting, level: dict[str, dict[str, float]]
) -> Iterator[Figure]:
    ways = [
        case.rings.convert,
        lambda: case.rings.copy(case.tables),
        case.three_branches_in_c,
        case.three_branches_in_numba,
    ]
    ours, copies, in_c, in_numba = take_turns(ways, setting.repeats)
    case.check()
    share = case.share_of_other_gains
    case.use_random_codes()
    hard, plain_hard = take_turns([case.rings.convert, case.three_branches_in_c], HARD_REPEATS)
    case.check()
    name = f"JUNGFRAU, {n_modules} module{'s' if n_modules > 1 else ''}"
    details: dict[str, Any] = {
        "share_of_pixels_in_gain_1_or_2": round(share, 5),
        "random_codes_modules_per_s": round(statistics.median(hard)),
        "random_codes_ratio_to_three_branches": round(statistics.median(hard) / statistics.median(plain_hard), 3),
    }
    yield Figure(
        f"correction, {name}",
        UNIT,
        ours,
        "memcpy, tables read once",
        copies,
        Target.at_least(0.6),
        details | _of_level(level, name),
    )
    is_c_faster = statistics.median(in_c) > statistics.median(in_numba)
    yield Figure(
        f"correction, {name}, plain loop",
        UNIT,
        ours,
        f"three branches, {'C' if is_c_faster else 'numba'}",
        in_c if is_c_faster else in_numba,
        Target.at_least(1.8),
        {
            "three_branches_c_modules_per_s": round(statistics.median(in_c)),
            "three_branches_numba_modules_per_s": round(statistics.median(in_numba)),
        },
    )


def _measure_level(setting: Setting) -> dict[str, dict[str, float]]:
    command = [sys.executable, "-m", "std_benchmarks.converting.level", str(setting.shm), str(setting.repeats)]
    environment = os.environ | {VARIABLE: IMAGE_LEVEL}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    result: dict[str, dict[str, float]] = json.loads(done.stdout)
    return result


def _of_level(level: dict[str, dict[str, float]], name: str) -> dict[str, float]:
    return {f"{IMAGE_LEVEL}_{key}": value for key, value in level.get(name, {}).items()}


@contextmanager
def _folder(setting: Setting) -> Iterator[Path]:
    """Make a folder in shared memory; a case's rings go with it."""
    with tempfile.TemporaryDirectory(dir=setting.shm) as folder:
        yield Path(folder)
