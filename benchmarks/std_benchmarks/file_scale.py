"""Whether an image costs the same whatever the run has written before, and a byte the same in images of any size.

*A run of 10^6 images* of 1 KB, by the service ``std-h5-writer`` in a process of its own: little but what goes with each
image, so that whatever grows with a run shows. The service's reports of progress tell how far it is five times a
second. *Ours* is the time for an image at the end of the run, in five parts of a twentieth of the run, the *reference*
that in the first five. The details say how much memory the service had at the beginning and gained in the second
half of the run, and how many bytes beside its pixels an image takes in the file.

*Images of 0.25 to 16 Mpx*: the time for a GB past the page cache, as in operation; *ours* with each size, the
*reference* with 1 Mpx in the same turn. Some 35 us for each image, whatever its size, are in it, and what a disk takes
for each write; both show with the small ones.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from std_benchmarks.figure import Figure, Target
from std_benchmarks.setting import Setting
from std_benchmarks.turns import take_turns
from std_benchmarks.writing.recorder import Recorder

N_IMAGES = 1_000_000
SMALL_SHAPE = (8, 64)
SMALL_RING_BYTES = 16 * 2**20
PART = N_IMAGES // 20
N_PARTS = 5

SIZES = {"1 Mpx": (1024, 1024), "0.25 Mpx": (512, 514), "4 Mpx": (2048, 2048), "16 Mpx": (4096, 4096)}
RUN_BYTES = 512 * 2**20
RING_BYTES = 128 * 2**20


def measure(setting: Setting) -> Iterator[Figure]:
    """Give both."""
    yield _long_run(setting)
    yield from _sizes(setting)


def _long_run(setting: Setting) -> Figure:
    setting.progress(f"writing a run of {N_IMAGES} images")
    path = setting.folder / "long.h5"
    with Recorder(setting.shm, setting.folder / "long", SMALL_SHAPE, ring_bytes=SMALL_RING_BYTES) as recorder:
        trace = _Trace(recorder)
        recording = recorder.record(path, N_IMAGES, on_progress=trace.add)
        recorder.check(path, N_IMAGES)
        beside_pixels = path.stat().st_size / N_IMAGES - recorder.image_bytes
    path.unlink()
    return Figure(
        f"image of a run of {N_IMAGES:.0e}, last to first",
        "us",
        [trace.image_us(N_IMAGES - (part + 1) * PART) for part in range(N_PARTS)],
        "the first images",
        [trace.image_us(part * PART) for part in range(N_PARTS)],
        Target.at_most(1.1),
        {
            "images": N_IMAGES,
            "image_bytes": recorder.image_bytes,
            "memory_at_first_mb": round(trace.memory_bytes(0) / 1e6, 1),
            "memory_gained_in_second_half_mb": round(
                (trace.memory_bytes(N_IMAGES) - trace.memory_bytes(N_IMAGES // 2)) / 1e6, 1
            ),
            "bytes_beside_pixels": round(beside_pixels, 1),
            "end_ms": round(1e3 * recording.end_s),
        },
    )


class _Trace:
    """How far the service was, and how much memory it had, from time to time."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._times: list[float] = []
        self._n_written: list[int] = []
        self._memory: list[int] = []

    def add(self, n_written: int) -> None:
        """Note a report of progress."""
        self._times.append(time.perf_counter())
        self._n_written.append(n_written)
        self._memory.append(self._recorder.memory_bytes)

    def image_us(self, first: int) -> float:
        """Return the time for an image in the part that begins so."""
        start, end = np.interp([first, first + PART], self._n_written, self._times)
        return float(end - start) / PART * 1e6

    def memory_bytes(self, n_written: int) -> int:
        """Return the memory when so many images were written."""
        return int(np.interp(n_written, self._n_written, self._memory))


def _sizes(setting: Setting) -> Iterator[Figure]:
    path = setting.folder / "image.h5"
    with ExitStack() as stack:
        recorders = [
            stack.enter_context(
                Recorder(
                    setting.shm, setting.folder / name.replace(" ", "_"), shape, ring_bytes=RING_BYTES, is_direct=True
                )
            )
            for name, shape in SIZES.items()
        ]
        setting.progress(f"writing images of {', '.join(SIZES)}")
        rates = take_turns([_seconds_for_a_gigabyte(path, recorder) for recorder in recorders], setting.repeats)
    for name, ours in list(zip(SIZES, rates, strict=True))[1:]:
        target = Target.at_most(1.2) if name != "0.25 Mpx" else None
        yield Figure(f"ring to HDF5, images of {name}", "s/GB", ours, "images of 1 Mpx", rates[0], target)


def _seconds_for_a_gigabyte(path: Path, recorder: Recorder) -> Callable[[], float]:
    n_images = RUN_BYTES // recorder.image_bytes

    def record() -> float:
        recording = recorder.record(path, n_images)
        recorder.check(path, n_images)
        path.unlink()
        return recording.write_s / (n_images * recorder.image_bytes / 1e9)

    return record
