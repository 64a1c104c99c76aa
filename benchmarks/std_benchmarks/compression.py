"""How fast images get from the ring into a compressed file, beside compression alone.

*Ours* is the service ``std-h5-writer`` in a process of its own, with one thread that compresses for each core: images
are found in the ring, compressed with bitshuffle and LZ4 or Zstandard, checked, and written as chunks of HDF5. The
*reference* is ``bshuf_compress_lz4`` or ``bshuf_compress_zstd`` of the package ``bitshuffle``, called for the same
images in the same memory by one thread that does nothing else, times the number of threads: more than it gets out of
cores that share a memory or a processor. So a second figure has as reference what as many threads reach at once.

Images hold Poisson noise with a mean of one photon. After each turn images of the file are decompressed and compared
with the ring.
"""

import ctypes
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_benchmarks.figure import Figure, Target
from std_benchmarks.setting import Setting
from std_benchmarks.turns import take_turns
from std_benchmarks.writing.page_cache import warm_page_cache
from std_benchmarks.writing.recorder import Recorder
from std_daq.imaging.files import compression

SHAPE = (1024, 1024)
IMAGES_A_THREAD = 400
RING_BYTES = 128 * 2**20


ZSTD_LEVEL = 1


def measure(setting: Setting) -> Iterator[Figure]:
    """Give the rate of pixels from the ring into a compressed file, with LZ4 and with Zstandard."""
    yield from _measure(setting, None)
    yield from _measure(setting, ZSTD_LEVEL)


def _measure(setting: Setting, zstd_level: int | None) -> Iterator[Figure]:
    codec, compression_name = ("LZ4", "bslz4") if zstd_level is None else ("Zstd", "bszstd")
    path = setting.folder / "image.h5"
    n_threads = len(setting.cores)
    n_images = n_threads * IMAGES_A_THREAD
    stored: list[float] = []
    cpu_s: list[float] = []
    with (
        Recorder(
            setting.shm, setting.folder / compression_name, SHAPE, ring_bytes=RING_BYTES, n_threads=n_threads
        ) as recorder,
        ThreadPoolExecutor(n_threads) as threads,
    ):
        n_bytes = n_images * recorder.image_bytes
        gigabytes = n_bytes / 1e9

        def record() -> float:
            warm_page_cache(setting.folder, n_bytes // 4)
            recording = recorder.record(path, n_images, compression=compression_name)
            recorder.check(path, n_images)
            stored.append(path.stat().st_size / 1e9 / gigabytes)
            cpu_s.append(recording.cpu_s / gigabytes)
            path.unlink()
            return gigabytes / recording.write_s

        library = _Library(zstd_level)

        def compress(first: int, step: int) -> None:
            image = recorder.images[0]
            out = np.empty(compression.bound(image.nbytes, image.itemsize, zstd_level), np.uint8)
            library.use_one_thread()
            for i in range(first, n_images, step):
                library.compress(recorder.images[i % recorder.n_slots], out)

        def compress_on_one_core() -> float:
            started = time.perf_counter()
            threads.submit(compress, 0, n_threads).result()
            return gigabytes / (time.perf_counter() - started)  # its share of the images, times the number of threads

        def compress_on_all_cores() -> float:
            started = time.perf_counter()
            list(threads.map(compress, range(n_threads), [n_threads] * n_threads))
            return gigabytes / (time.perf_counter() - started)

        setting.progress(f"writing images, compressed by {n_threads} threads")
        ours, one, all_cores = take_turns([record, compress_on_one_core, compress_on_all_cores], setting.repeats)
    yield Figure(
        f"ring to HDF5, bitshuffle/{codec}",
        "GB/s of pixels",
        ours,
        f"compress_{codec.lower()} alone x {n_threads}",
        one,
        Target.at_least(0.8) if zstd_level is None else None,
        {
            "threads": n_threads,
            "images": n_images,
            "bytes_stored_per_byte": round(statistics.median(stored), 3),
            "cpu_s_per_gb": round(statistics.median(cpu_s), 3),
        },
    )
    yield Figure(
        f"bitshuffle/{codec} beside {n_threads} threads at once",
        "GB/s of pixels",
        ours,
        f"compress_{codec.lower()} in {n_threads} threads",
        all_cores,
    )


class _Library:
    """The library as anybody calls it."""

    def __init__(self, zstd_level: int | None) -> None:
        self._level = [] if zstd_level is None else [zstd_level]
        library = ctypes.CDLL(str(compression.library_path()))
        size, pointer = ctypes.c_size_t, ctypes.c_void_p
        self._compress = library.bshuf_compress_lz4 if zstd_level is None else library.bshuf_compress_zstd
        levels = [ctypes.c_int] * len(self._level)
        self._compress.argtypes, self._compress.restype = (pointer, pointer, size, size, size, *levels), ctypes.c_int64
        self._set_n_threads = getattr(library, "omp_set_num_threads", None)

    def use_one_thread(self) -> None:
        """Have the calling thread do its own work: OpenMP keeps this number for each."""
        if self._set_n_threads is not None:
            self._set_n_threads(1)

    def compress(self, image: NDArray[Any], out: NDArray[np.uint8]) -> None:
        """Compress an image in blocks of the size that the library chooses."""
        if self._compress(image.ctypes.data, out.ctypes.data, image.size, image.itemsize, 0, *self._level) < 0:
            raise AssertionError("the library cannot compress the image")
