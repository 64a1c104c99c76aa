import os
import subprocess
import sys
from pathlib import Path

import pytest

from std_daq.native.compilation import units
from std_daq.native.jit import Kernel

PROJECT = Path(__file__).parents[3]

COMPILE_AHEAD = """
import std_daq.native.atomics
"""

# What services do with rings from Python, and how many functions had to be compiled for it.
USE_RINGS = """
import sys
from pathlib import Path
import numpy as np
from std_daq.imaging.protocols.image_metadata import IMAGE_METADATA
from std_daq.native import atomics
from std_daq.imaging.buffers.frame_buffer import FrameBuffer
from std_daq.imaging.buffers.image_buffer import ImageBuffer

folder = Path(sys.argv[1])
size = {"buffer_bytes": 0, "n_slots": 16}
images, _ = ImageBuffer.create(folder / "images", shape=(8, 16), dtype=np.dtype("u2"), n_modules=3, **size)
frames, _ = FrameBuffer.create(folder / "frames", n_modules=1, frame_bytes=64, n_units=1, **size)
images.begin(0)
images.end(0)
images.journal.append(np.zeros(1, IMAGE_METADATA))
images.journal.set_resume_point(0, 0, 1)
for seen in (images, ImageBuffer.attach(folder / "images")):
    assert seen.journal.read(0, 10).entries.size == 1
    assert seen.is_unchanged(0, seen.generation(0))
    seen.journal.resume_point(0)
for seen in (frames, FrameBuffer.attach(folder / "frames")):
    assert seen.is_unchanged(0, seen.generation(0))
dispatchers = [function for function in vars(atomics).values() if hasattr(function, "stats")]
print(len(dispatchers), sum(sum(function.stats.cache_misses.values()) for function in dispatchers))
"""


def run(program: str, cache: Path, *arguments: str) -> str:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True, timeout=110).stdout


# Compiled as a GPU is opened, for its kind; not everybody has the library for that.
FOR_GPUS = {PROJECT / "std_daq" / "photons" / "propagation" / "device_kernels.py"}


@pytest.mark.timeout(600)  # compiles all of them, where nobody has before
def test_no_kernels_are_forgotten() -> None:
    for unit in units(None):
        unit.compile(None)
    files = [*PROJECT.glob("std_daq/**/*kernels.py"), *PROJECT.glob("services/*/std_*/**/*kernels.py")]
    loaded = {
        Path(module.__file__): module for module in list(sys.modules.values()) if getattr(module, "__file__", None)
    }
    assert set(files) - loaded.keys() - FOR_GPUS == set()
    kernels = [value for file in files if file in loaded for value in vars(loaded[file]).values()]
    not_compiled = {
        kernel.__name__: kernel.pixels for kernel in kernels if isinstance(kernel, Kernel) and kernel.pixels
    }
    assert not_compiled == {}


@pytest.mark.long
def test_rings_are_used_without_compiling_once_that_was_done_ahead(tmp_path: Path) -> None:
    (tmp_path / "rings").mkdir()
    run(COMPILE_AHEAD, tmp_path / "cache")
    assert run(USE_RINGS, tmp_path / "cache", str(tmp_path / "rings")).split() == ["7", "0"]
