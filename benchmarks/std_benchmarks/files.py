"""How fast images get from the ring into a file, uncompressed, beside ``write`` of the same bytes.

*Ours* is the service ``std-h5-writer`` in a process of its own: it takes the name of each image from its queue, finds
it in the ring, checks before and after that it is whole, writes it as a chunk of HDF5 with all that is known of it,
flushes every second, and at the end waits until the disk has the file. The *reference* writes the same images from the
same memory into a file of the same folder with ``write``, one call an image, and nothing besides; its calls are so long
that C would not be faster. Both begin with an open file: the beginning of a run is a figure of its own, the end is in
that with ``fsync``.

The page cache has all images when the service reports that none is left, and when the last ``write`` returns; with the
disk, both are timed until ``fsync`` has returned. After each turn images of the file are compared with the ring.

*Past the page cache*, as the service does while the disk keeps up, the reference is ``write`` with ``O_DIRECT`` of the
same images, both with ``fsync``; the details tell the CPU time of a GB beside that through the page cache.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path

from std_benchmarks.figure import Figure, Target
from std_benchmarks.setting import Setting
from std_benchmarks.turns import take_turns
from std_benchmarks.writing.page_cache import warm_page_cache
from std_benchmarks.writing.recorder import Recorder, Recording

SHAPE = (1024, 1024)
N_IMAGES = 400
RING_BYTES = 128 * 2**20


def measure(setting: Setting) -> Iterator[Figure]:
    """Give the rates through the page cache and past it, and what the beginning of a run costs."""
    yield from _through_page_cache(setting)
    yield _past_page_cache(setting)


def _through_page_cache(setting: Setting) -> Iterator[Figure]:
    path = setting.folder / "image.h5"
    recordings: list[Recording] = []
    plain: list[tuple[float, float]] = []
    with Recorder(setting.shm, setting.folder / "run", SHAPE, ring_bytes=RING_BYTES) as recorder:
        n_bytes = N_IMAGES * recorder.image_bytes
        gigabytes = n_bytes / 1e9

        def record() -> float:
            warm_page_cache(setting.folder, n_bytes)
            recording = recorder.record(path, N_IMAGES)
            recorder.check(path, N_IMAGES)
            path.unlink()
            recordings.append(recording)
            return gigabytes / recording.write_s

        def write() -> float:
            warm_page_cache(setting.folder, n_bytes)
            plain.append(_write(path, recorder, 0))
            path.unlink()
            return gigabytes / plain[-1][0]

        setting.progress("writing images, uncompressed")
        ours, theirs = take_turns([record, write], setting.repeats)
    recordings, plain = recordings[1:], plain[1:]
    details = {"images": N_IMAGES, "image_bytes": recorder.image_bytes}
    yield Figure(
        "ring to HDF5, page cache", "GB/s", ours, "write", theirs, Target.at_least(0.9),
        details | {"cpu_s_per_gb": min(recording.cpu_s for recording in recordings) / gigabytes},
    )  # fmt: skip
    yield Figure(
        "ring to HDF5, with fsync",
        "GB/s",
        [gigabytes / (recording.write_s + recording.end_s) for recording in recordings],
        "write and fsync",
        [gigabytes / (write_s + sync_s) for write_s, sync_s in plain],
        Target.at_least(0.9),
        details,
    )
    yield Figure("ring to HDF5, beginning of a run", "ms", [1e3 * recording.begin_s for recording in recordings])


def _past_page_cache(setting: Setting) -> Figure:
    path = setting.folder / "image.h5"
    cpu_s: list[float] = []
    with Recorder(setting.shm, setting.folder / "direct", SHAPE, ring_bytes=4 * RING_BYTES, is_direct=True) as recorder:
        gigabytes = N_IMAGES * recorder.image_bytes / 1e9

        def record() -> float:
            recording = recorder.record(path, N_IMAGES)
            recorder.check(path, N_IMAGES)
            path.unlink()
            cpu_s.append(recording.cpu_s)
            return gigabytes / (recording.write_s + recording.end_s)

        def write() -> float:
            seconds = sum(_write(path, recorder, os.O_DIRECT))
            path.unlink()
            return gigabytes / seconds

        setting.progress("writing images, past the page cache")
        ours, theirs = take_turns([record, write], setting.repeats)
    return Figure(
        "ring to HDF5, past the page cache",
        "GB/s",
        ours,
        "write with O_DIRECT and fsync",
        theirs,
        details={"images": N_IMAGES, "image_bytes": recorder.image_bytes, "cpu_s_per_gb": min(cpu_s) / gigabytes},
    )


def _write(path: Path, recorder: Recorder, flags: int) -> tuple[float, float]:
    """Return the seconds to write as many images, and to bring them to the disk then."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | flags)
    try:
        started = time.perf_counter()
        for i in range(N_IMAGES):
            os.write(fd, recorder.images[i % recorder.n_slots])
        written = time.perf_counter()
        os.fsync(fd)
        return written - started, time.perf_counter() - written
    finally:
        os.close(fd)
