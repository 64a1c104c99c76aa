"""The suite: which benchmarks there are, in the order in which they run."""

import importlib
from collections.abc import Iterator
from typing import Protocol, cast

from std_benchmarks.figure import Figure
from std_benchmarks.setting import Setting
from std_daq.errors import ConfigError

# Each is a module of this package with `measure(setting)`.
BENCHMARKS = {
    "memory": "what one core copies from memory to memory",
    "sending": "packets a second out of the simulator",
    "drain": "CPU time to empty a full socket into the FrameBuffer",
    "paced": "CPU time to receive 0.5 GB/s, and the delay of an image",
    "highest_rate": "highest lossless rate over a minute, a core each for sender and receiver",
    "synchroniser": "frames a second brought together from 2 to 72 sources",
    "files": "images a second from the ring into a file, uncompressed",
    "compression": "images a second from the ring into a file, bitshuffle/LZ4",
    "checksums": "what checksums of images cost their writer",
    "file_scale": "what an image costs in a run of 10^6, and a byte in images of 0.25 to 16 Mpx",
    "replication": "images from one server's ring to another's",
    "whole_path": "highest lossless rate of corrected JUNGFRAU images, UDP to file",
    "cost": "CPU time of each service for each GB of packets",
    "latency": "from the last packet of an image to its ImageMetadata at a subscriber",
    "live_view": "images of a telescope to 8 clients over gRPC",
    "console_images": "processor time of the console for each browser, 4 Mpixel at 10 images a second",
    "console_page": "frames, tasks and answers of the page in a browser, 4 Mpixel at 10 images a second",
    "event_building": "GB a second of one core, from TCP to the built events of a chamber",
    "event_analysis": "events of a chamber that one core analyses in a second, and the growth with cores",
    "start": "from the start of each service until it is ready",
    "scale": "what the largest detector, image, ring and run cost beside the smallest",
    "photons": "photons a second of one core, in tanks with 168 and 11,146 light sensors",
    "photon_farm": "what an event of the photon simulation costs in router and worker, and how a farm grows",
    "conversion": "frames of one core converted: JUNGFRAU corrected, EIGER placed, GIGAFROST unpacked",
}


class Benchmark(Protocol):
    """What the module of a benchmark offers."""

    def measure(self, setting: Setting) -> Iterator[Figure]:
        """Measure, and give each figure as soon as it is known."""


def select(names: list[str]) -> list[str]:
    """Return the benchmarks to run, by default all; raises ConfigError for a name that is none."""
    unknown = sorted(set(names) - BENCHMARKS.keys())
    if unknown:
        raise ConfigError(f"no such benchmark: {', '.join(unknown)}", remedy=f"there are: {', '.join(BENCHMARKS)}")
    return [name for name in BENCHMARKS if not names or name in names]


def load(name: str) -> Benchmark:
    """Return the benchmark of that name."""
    return cast("Benchmark", importlib.import_module(f"std_benchmarks.{name}"))
