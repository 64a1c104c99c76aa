"""What scale costs: the same work for the smallest and the largest detector, image, ring, audience and run.

Each figure gives the cost at the largest beside the cost at the smallest, as CPU time in the same turns, so their ratio
is 1 where the cost does not depend on the size; the details have the points between. The target leaves 30 % for what
caches and the addresses of memory bring. All rings are larger than the caches, and what is written comes from memory
as well, so that no small case is a case in the cache.

- *Modules*: 1 to 32 EIGER modules, raw, through the assembler's real service, from the FrameBuffer to an image in the
  ImageBuffer; CPU time of its thread for each module. A small detector pays what each image costs by itself, so a
  large one has to be cheaper; what each further module costs is a figure of its own.
- *Image size*: 0.25 to 16 Mpx written into an ImageBuffer and copied out by a reader; each byte.
- *Ring size*: rings of 0.13 GB and of nearly 40 % of the memory that is free; each image of 1 Mpx. The first pass
  through a ring, new or taken over after a restart, beside later ones: page faults would show here.
- *Readers*: 1 to 16 processes that copy each image of 0.25 Mpx; the cost of the writing process, and of a reader. Each
  reader is woken by itself, so what the writer pays for that is proportional to the readers. Images come at a rate that
  two cores can take for 16 readers. Nothing may be torn or lost.
- *Length of a run*: 10^6 images through the ring, its journal and the writer agent; the last tenth beside the
  first, and the memory of the process. What their file costs is measured elsewhere.

Every image is looked at: modules in their places, numbers of an image in its corners.
"""

import gc
import os
import shutil
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

from std_benchmarks.figure import Detail, Figure, Target
from std_benchmarks.scaling.assembly import Assembly
from std_benchmarks.scaling.image_ring import CopyingReader, ImageWriter
from std_benchmarks.scaling.long_run import LongRun
from std_benchmarks.scaling.reader_processes import ReaderProcesses
from std_benchmarks.setting import Setting
from std_benchmarks.turns import take_turns
from std_daq.streams.doorbell import DoorbellPublisher

CONSTANT = Target.at_most(1.3)
MAX_REPEATS = 3
RING_BYTES = 2**27

N_MODULES = (1, 2, 4, 8, 16, 32)
MODULE_FRAMES = 1024
AT_ONCE = 8

SIDES = (512, 1024, 2048, 4096)

SIDE = 1024
RING_IMAGES = 96
MEMORY_SHARE = 0.4

N_READERS = (1, 2, 4, 8, 16)
READER_IMAGES = 40
READER_PERIOD_S = 0.005

RUN_IMAGES = 10**6 // 5120 * 5120
"""About a million; a tenth is a multiple of what comes at once."""


def measure(setting: Setting) -> Iterator[Figure]:
    """Give the figures of each kind of size."""
    yield from modules(setting)
    yield from image_sizes(setting)
    yield from ring_sizes(setting)
    yield from first_passes(setting)
    yield from readers(setting)
    yield from long_run(setting)


def modules(setting: Setting) -> Iterator[Figure]:
    """Give the cost of a module frame."""
    setting.progress("1 to 32 modules")
    os.environ["STD_DAQ_RUNTIME_DIR"] = str(setting.shm)
    with ExitStack() as stack:
        ways = []
        for n_modules in N_MODULES:
            assembly = stack.enter_context(closing(Assembly(setting.shm, n_modules, RING_BYTES)))
            ways.append(partial(_assemble, assembly))
        costs = take_turns(ways, _repeats(setting))
    details = _points("modules, us a frame", N_MODULES, costs)
    yield _figure("module frame to image, 32 modules", "us", costs, "1 module", details)
    further = [_further(costs, first, last) for first, last in ((0, 3), (3, 5))]
    yield _figure("each further module, from 8 to 32", "us", further, "from 1 to 8", {})


def image_sizes(setting: Setting) -> Iterator[Figure]:
    """Give the cost of a byte."""
    setting.progress("images of 0.25 to 16 Mpx")
    ways: list[Callable[[], float]] = []
    with ExitStack() as stack:
        for side in SIDES:
            path = setting.shm / f"side-{side}"
            writer = stack.enter_context(closing(ImageWriter(path, (side, side), 2 * RING_BYTES // (2 * side**2))))
            reader = stack.enter_context(closing(CopyingReader(path)))
            reader.touch()
            n_images = writer.n_slots // 2
            gb = n_images * writer.image_bytes / 1e9
            ways.append(partial(_write_and_read, writer, reader, n_images, gb))
        costs = take_turns(ways, _repeats(setting))
    mpx = [side**2 / 2**20 for side in SIDES]
    details = _points("Mpx, CPU s/GB", mpx, costs)
    yield _figure("image into a ring and out, 16 Mpx", "CPU s/GB", costs, "0.25 Mpx", details)


def ring_sizes(setting: Setting) -> Iterator[Figure]:
    """Give the cost of an image, and of making and attaching to a ring."""
    largest = int(MEMORY_SHARE * _free_bytes(setting.shm)) - 8 * RING_BYTES
    sizes = [RING_BYTES, 8 * RING_BYTES, largest] if largest > 16 * RING_BYTES else [RING_BYTES, 8 * RING_BYTES]
    in_gb = [round(size / 1e9, 2) for size in sizes]
    setting.progress(f"rings of {in_gb[0]} to {in_gb[-1]} GB")
    ways: list[Callable[[], float]] = []
    details: dict[str, Detail] = {}
    with ExitStack() as stack:
        for size, gb in zip(sizes, in_gb, strict=True):
            path = setting.shm / f"ring-{size}"
            image_bytes = 2 * SIDE**2
            started = time.thread_time()
            writer = stack.enter_context(closing(ImageWriter(path, (SIDE, SIDE), size // image_bytes)))
            details[f"{gb} GB, made, CPU s/GB"] = (time.thread_time() - started) / gb
            started = time.thread_time()
            reader = stack.enter_context(closing(CopyingReader(path)))
            details[f"{gb} GB, attached, CPU ms"] = 1e3 * (time.thread_time() - started)
            reader.touch()
            ways.append(partial(_write_and_read, writer, reader, RING_IMAGES, 1e-6 * RING_IMAGES))
        costs = take_turns(ways, _repeats(setting))
    details |= _points("GB, us an image", in_gb, costs)
    yield _figure(f"image through the largest ring ({in_gb[-1]} GB)", "us", costs, f"{in_gb[0]} GB", details)


def first_passes(setting: Setting) -> Iterator[Figure]:
    """Give the cost of an image when no slot of the ring was used before."""
    setting.progress("first passes through a ring")
    costs: dict[str, list[float]] = {"new": [], "warm": [], "taken over": [], "made": [], "take over": []}

    def open_ring(kind: str) -> ImageWriter:
        started = time.thread_time()
        writer = ImageWriter(setting.shm / "first-pass", (SIDE, SIDE), RING_BYTES // SIDE**2)
        costs[kind].append((time.thread_time() - started) / (writer.n_slots * writer.image_bytes / 1e9))
        return writer

    for _ in range(_repeats(setting)):
        with closing(open_ring("made")) as writer:
            costs["new"].append(_write(writer, writer.n_slots, 1e-6 * writer.n_slots))
            costs["warm"].append(_write(writer, writer.n_slots, 1e-6 * writer.n_slots))
        with closing(open_ring("take over")) as writer:
            costs["taken over"].append(_write(writer, writer.n_slots, 1e-6 * writer.n_slots))
        (setting.shm / "first-pass").unlink()
    details: dict[str, Detail] = {f"{kind}, CPU s/GB": statistics.median(costs[kind]) for kind in ("made", "take over")}
    for name, kind in (("a new ring", "new"), ("a ring taken over", "taken over")):
        yield Figure(
            f"image, first pass through {name}", "us", costs[kind], "second pass", costs["warm"], CONSTANT, details
        )


def readers(setting: Setting) -> Iterator[Figure]:
    """Give the cost of an image for the writer and for a reader."""
    setting.progress("1 to 16 readers")
    side = SIDES[0]
    path = setting.shm / "readers"
    address = f"ipc://{setting.shm}/readers-doorbell"
    with ExitStack() as stack:
        writer = stack.enter_context(closing(ImageWriter(path, (side, side), RING_BYTES // (2 * side**2))))
        doorbell = stack.enter_context(closing(DoorbellPublisher(address)))
        writer.write(writer.n_slots)
        processes = stack.enter_context(closing(ReaderProcesses(max(N_READERS), path, address)))
        audience = Audience(writer, doorbell, processes)
        costs = take_turns([partial(audience.write, n_readers) for n_readers in N_READERS], _repeats(setting))
    of_readers = [audience.reader_costs[n_readers][1:] for n_readers in N_READERS]  # the first turn did not count
    details = _points("readers, us an image", N_READERS, costs)
    yield _figure("writer of a ring, 16 readers", "us", costs, "1 reader", details)
    details = _points("readers, us an image", N_READERS, of_readers)
    yield _figure("reader of a ring, one of 16", "us", of_readers, "1 reader", details)


class Audience:
    """A ring that is written while a number of processes read it.

    Parameters
    ----------
    writer, doorbell, processes
        The ring's.

    Attributes
    ----------
    reader_costs
        By the number of readers, us that each image cost one reader, on average over the readers, for each turn.
    """

    def __init__(self, writer: ImageWriter, doorbell: DoorbellPublisher, processes: ReaderProcesses) -> None:
        self._writer = writer
        self._doorbell = doorbell
        self._processes = processes
        self.reader_costs: dict[int, list[float]] = {}

    def write(self, n_readers: int) -> float:
        """Write while so many read; returns us of CPU time for each image, with the waking of the readers."""
        last = self._writer.write_one().copy()
        self._processes.begin(n_readers, READER_IMAGES, partial(self._doorbell.ring, last))
        started_s = time.process_time()
        for _ in range(READER_IMAGES):
            self._doorbell.ring(self._writer.write_one())
            time.sleep(READER_PERIOD_S)
        elapsed_s = time.process_time() - started_s
        readings = self._processes.finish(n_readers)
        if any((reading.n_read, reading.n_lost) != (READER_IMAGES, 0) for reading in readings):
            raise AssertionError(f"images are lost by readers: {readings}")
        cost = 1e6 * statistics.mean(reading.cpu_s for reading in readings) / READER_IMAGES
        self.reader_costs.setdefault(n_readers, []).append(cost)
        return 1e6 * elapsed_s / READER_IMAGES


def long_run(setting: Setting) -> Iterator[Figure]:
    """Give the cost of an image after a million, and the memory that they take."""
    setting.progress(f"a run of {RUN_IMAGES} images")
    n_images = RUN_IMAGES // 30 // 512 * 512
    with closing(LongRun(setting.shm / "long-run", 2 * RUN_IMAGES)) as run:
        run.take(RUN_IMAGES // 10)
        memory = _memory_mb()
        for _ in range(9):
            run.take(RUN_IMAGES // 10)
        grown = _memory_mb()

        def go_on() -> float:
            return _cpu_us(run.take, n_images)

        def begin() -> float:
            with closing(LongRun(setting.shm / "new-run", RUN_IMAGES)) as new:
                cost = _cpu_us(new.take, n_images)
            (setting.shm / "new-run").unlink()
            return cost

        ours, new = take_turns([go_on, begin], _repeats(setting))
        if run.n_sent != RUN_IMAGES + (_repeats(setting) + 1) * n_images:
            raise AssertionError(f"{run.n_sent} images came to the writer")
    name = "after 10^6 images of a run"
    yield Figure(f"image {name}", "us", ours, "its first images", new, CONSTANT)
    yield Figure(f"memory {name}", "MB", [grown], "after 10^5", [memory], Target.at_most(1.05))


def _assemble(assembly: Assembly) -> float:
    """Return us of CPU time for each module frame."""
    n_batches = max(1, MODULE_FRAMES // (AT_ONCE * assembly.n_modules))
    elapsed_s = 0.0
    for _ in range(n_batches):
        assembly.publish(AT_ONCE)
        elapsed_s += assembly.assemble()
    assembly.check()
    return 1e6 * elapsed_s / (n_batches * AT_ONCE * assembly.n_modules)


def _further(costs: Sequence[Sequence[float]], first: int, last: int) -> list[float]:
    """Return, for each turn, what a further module costs on the way from one point to another."""
    few, many = N_MODULES[first], N_MODULES[last]
    pairs = zip(costs[first], costs[last], strict=True)
    return [(many * of_many - few * of_few) / (many - few) for of_few, of_many in pairs]


def _write(writer: ImageWriter, n_images: int, per: float) -> float:
    """Return the CPU seconds, divided by ``per``, of writing images."""
    started = time.thread_time()
    writer.write(n_images)
    return (time.thread_time() - started) / per


def _read(reader: CopyingReader, n_images: int, per: float) -> float:
    """Return the CPU seconds, divided by ``per``, of reading all images that are there."""
    before = reader.n_read
    started = time.thread_time()
    reader.read()
    elapsed_s = time.thread_time() - started
    if reader.n_read - before != n_images or reader.n_lost:
        raise AssertionError(f"{reader.n_read - before} of {n_images} images were read")
    return elapsed_s / per


def _write_and_read(writer: ImageWriter, reader: CopyingReader, n_images: int, per: float) -> float:
    """Return the CPU seconds, divided by ``per``, of writing images and then reading them."""
    half = n_images // 2
    return sum(_write(writer, half, per) + _read(reader, half, per) for _ in range(2))


def _cpu_us(take: Callable[[int], None], n_images: int) -> float:
    started = time.thread_time()
    take(n_images)
    return 1e6 * (time.thread_time() - started) / n_images


def _figure(
    name: str, unit: str, costs: Sequence[Sequence[float]], reference: str, details: dict[str, Detail]
) -> Figure:
    """Return the cost at the largest, the last of the points, beside the cost at the smallest."""
    return Figure(name, unit, costs[-1], reference, costs[0], CONSTANT, details)


def _points(what: str, sizes: Sequence[float], costs: Sequence[Sequence[float]]) -> dict[str, Detail]:
    """Return the median of each point."""
    return {f"{size:g} {what}": statistics.median(cost) for size, cost in zip(sizes, costs, strict=True)}


def _free_bytes(folder: Path) -> int:
    """Return what can be had for rings: of the memory, and of the file system."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        key, _, value = line.partition(":")
        if key == "MemAvailable":
            return min(1024 * int(value.split()[0]), shutil.disk_usage(folder).free)
    raise AssertionError("/proc/meminfo does not tell MemAvailable")


def _memory_mb() -> float:
    """Return what this process has of its own, without rings."""
    gc.collect()
    for line in Path("/proc/self/status").read_text().splitlines():
        key, _, value = line.partition(":")
        if key == "RssAnon":
            return int(value.split()[0]) / 1e3
    raise AssertionError("/proc/self/status does not tell RssAnon")


def _repeats(setting: Setting) -> int:
    return min(setting.repeats, MAX_REPEATS)
