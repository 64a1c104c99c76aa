"""What checksums of images cost their writer, through the page cache.

*Ours* is `ImageFile.append`: the CPU time that an image takes from the thread that writes. The *reference* is the same
code with checksums that are not computed, for other images of the same file, in blocks that take turns. The details
tell the ratio of all threads together; the checksum of the row of metadata is computed at a flush, and not in it.

A second pair of figures is the whole service ``std-h5-writer``, with all that it does for an image: the time from its
name until it is in the file, and the CPU time of the process.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from std_benchmarks.figure import Figure, Target
from std_benchmarks.setting import Setting
from std_benchmarks.turns import take_turns
from std_benchmarks.writing.page_cache import warm_page_cache
from std_benchmarks.writing.recorder import Recorder, Recording
from std_benchmarks.writing.without_checksums import without_checksums
from std_daq.imaging.files.description import ImageFileDescription, NexusMetadata
from std_daq.imaging.files.image_file import ImageFile
from std_daq.imaging.protocols.image_metadata import IMAGE_METADATA, decode_image_metadata
from std_daq.imaging.protocols.module_entry import MODULE_ENTRY

TARGET = Target.at_most(1.03)
SHAPES = {"16 kB": (16, 512), "64 kB": (64, 512), "256 kB": (256, 512), "512 kB": (512, 512), "8 MB": (2048, 2048)}
SERVICE_SHAPES = {"256 kB": (256, 514), "512 kB": (512, 514)}
_RING_BYTES = 128 * 2**20  # more than the caches
_FILE_BYTES = 2**28
_BLOCK_BYTES = 4 * 2**20
_BLOCK_IMAGES = 64
_SERVICE_BYTES = 2**29


def measure(setting: Setting) -> Iterator[Figure]:
    """Give the ratio of an image with its checksum to one without, by size, in the file and in the service."""
    for name, shape in SHAPES.items():
        setting.progress(f"appending images of {name}")
        yield _append(setting, name, shape)
    for name, shape in SERVICE_SHAPES.items():
        setting.progress(f"the service writes images of {name}")
        yield from _serve(setting, name, shape)


def _append(setting: Setting, name: str, shape: tuple[int, int]) -> Figure:
    ours, references, ratios = [], [], []
    for turn in range(setting.repeats + 1):
        path = setting.folder / "image.h5"
        warm_page_cache(setting.folder, _FILE_BYTES)
        with_them, without = _Appender(path, shape).measure()
        path.unlink()
        if turn:
            ours.append(with_them.thread_us)
            references.append(without.thread_us)
            ratios.append(round(with_them.process_us / without.process_us, 3))
    return Figure(
        f"append with checksum, {name}", "us", ours, "without", references, TARGET, {"ratios_of_all_threads": ratios}
    )


class _Cost(NamedTuple):
    """CPU time of an image, of the thread that writes and of all threads, in microseconds."""

    thread_us: float
    process_us: float


class _Appender:
    """Appends images of a ring to a file, in blocks with and without checksums."""

    def __init__(self, path: Path, shape: tuple[int, int]) -> None:
        image_bytes = 2 * shape[0] * shape[1]
        self._path, self._n_images = path, _FILE_BYTES // image_bytes
        self._block = max(1, min(_BLOCK_IMAGES, _BLOCK_BYTES // image_bytes))
        self._images = np.random.default_rng(1).poisson(1.0, (_RING_BYTES // image_bytes, *shape)).astype(np.uint16)
        self._metadata = decode_image_metadata(bytes(IMAGE_METADATA.itemsize))
        self._modules = np.zeros(1, MODULE_ENTRY)
        self._description = ImageFileDescription(
            detector_name="bench", shape=shape, dtype="u2", n_modules=1, nexus=NexusMetadata(),
            request_id="bench", configuration_json="{}", request_json="{}", versions={},
        )  # fmt: skip

    def measure(self) -> tuple[_Cost, _Cost]:
        """Return what an image costs with and without checksum."""
        ways: tuple[list[_Cost], list[_Cost]] = ([], [])
        with ImageFile.create(self._path, self._description) as file:
            for block in range(self._n_images // self._block):
                is_without = (block + block // 2) % 2 == 1  # with, without, without, with
                with without_checksums() if is_without else nullcontext():
                    ways[is_without].append(self._append_block(file, block * self._block))
                file.flush()
        return _median(ways[0]), _median(ways[1])

    def _append_block(self, file: ImageFile, first: int) -> _Cost:
        process_ns, thread_ns = time.process_time_ns(), time.thread_time_ns()
        for i in range(first, first + self._block):
            metadata = self._metadata._replace(id=i)
            file.append(self._images[i % len(self._images)], metadata, self._modules, i_exposure=i)
        thread_ns, process_ns = time.thread_time_ns() - thread_ns, time.process_time_ns() - process_ns
        return _Cost(1e-3 * thread_ns / self._block, 1e-3 * process_ns / self._block)


def _median(costs: list[_Cost]) -> _Cost:
    return _Cost(*(statistics.median(values) for values in zip(*costs, strict=True)))


def _serve(setting: Setting, name: str, shape: tuple[int, int]) -> Iterator[Figure]:
    path = setting.folder / "image.h5"
    modules = ("std_h5_writer", "std_benchmarks.writing.without_checksums")
    recordings: dict[str, list[Recording]] = {module: [] for module in modules}
    with ExitStack() as stack:

        def way(module: str) -> Callable[[], float]:
            rings = setting.shm / f"{module}-{name.replace(' ', '-')}"
            rings.mkdir()
            recorder = stack.enter_context(
                Recorder(rings, setting.folder / rings.name, shape, ring_bytes=_RING_BYTES, module=module)
            )
            n_images = _SERVICE_BYTES // recorder.image_bytes

            def record() -> float:
                warm_page_cache(setting.folder, _SERVICE_BYTES)
                recording = recorder.record(path, n_images)
                recorder.check(path, n_images)
                path.unlink()
                per_image = 1e6 / n_images
                recordings[module].append(
                    replace(recording, write_s=recording.write_s * per_image, cpu_s=recording.cpu_s * per_image)
                )
                return recording.write_s

            return record

        take_turns([way(module) for module in modules], setting.repeats)
    with_them, without = (recordings[module][1:] for module in modules)
    for what, values, references in (
        ("time", [one.write_s for one in with_them], [one.write_s for one in without]),
        ("CPU time", [one.cpu_s for one in with_them], [one.cpu_s for one in without]),
    ):
        yield Figure(f"h5-writer with checksums, {name}, {what}", "us", values, "without", references, TARGET)
