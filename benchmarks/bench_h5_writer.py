"""How fast the h5_writer takes images from the ring into files, against the least that this needs.

Without compression: messages, ring, generation checks, direct chunk writes and flushes, against ``write`` of the same
bytes from the ring. With bslz4: the same with threads that compress, against those threads compressing alone.
Measured turn by turn in the same run, the writer in this process.

    python benchmarks/bench_h5_writer.py [--folder /data] [--n-images 1000] [--rounds 5] [--threads 2]
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from prometheus_client import CollectorRegistry

from std_daq.config.model import DetectorConfig
from std_daq.config.paths import image_buffer_path, store_address, store_reports_address
from std_daq.detectors.registry import open_detector
from std_daq.files import compression
from std_daq.protocols.store_stream import ReportKind
from std_daq.streams.queue import PullQueue
from std_daq.telemetry.logs import configure_logs
from std_daq.testing.store_driver import N_MODULES, RingPublisher, StoreDriver
from std_h5_writer.compressor import OrderedCompressor
from std_h5_writer.file_owner import FileOwner
from std_h5_writer.metrics import WriterMetrics
from std_h5_writer.reporter import Reporter
from std_h5_writer.ring_reader import RingReader
from std_h5_writer.run_description import RunDescriber
from std_h5_writer.writer import H5Writer

SHAPE = (1024, 1030)
N_SLOTS = 64


class Bench:
    """A writer and a ring full of photons that stays as it is."""

    def __init__(self, config: DetectorConfig, publisher: RingPublisher) -> None:
        self.agent = StoreDriver(config)
        self.images = publisher.ring.images
        self.metadata = [publisher.publish(i) for i in range(N_SLOTS)]
        self.images[:] = np.random.default_rng(1).poisson(0.5, self.images.shape)
        self.writer = H5Writer(
            inbox=PullQueue(store_address(config, 0), bind=False),
            reporter=Reporter(store_reports_address(config), 0, patience_s=30.0),
            ring=RingReader(image_buffer_path(config)),
            compressor=OrderedCompressor(config.writer.n_compression_threads),
            describer=RunDescriber(config, open_detector(config)),
            owner=FileOwner(None),
            metrics=WriterMetrics(CollectorRegistry(), "h5-writer-0"),
            flush_interval_s=config.writer.flush_interval_s,
        )
        self.threads = ThreadPoolExecutor(config.writer.n_compression_threads)
        self.n_threads = config.writer.n_compression_threads

    def time_writer(self, path: Path, n_images: int, compression_name: str) -> float:
        """Return the seconds from the first image to the closed file."""
        self.agent.start(path, compression=compression_name)
        for i in range(n_images):
            self.agent.send(self.metadata[i % N_SLOTS], i)
        self.agent.end(n_images)
        start = time.perf_counter()
        assert self._step_until(ReportKind.DRAINED).n_written == n_images
        self.agent.finish()
        self._step_until(ReportKind.FINISHED)
        elapsed = time.perf_counter() - start
        path.unlink()
        return elapsed

    def time_plain_write(self, path: Path, n_images: int) -> float:
        start = time.perf_counter()
        with path.open("xb", buffering=0) as file:
            for i in range(n_images):
                file.write(self.images[i % N_SLOTS])
        elapsed = time.perf_counter() - start
        path.unlink()
        return elapsed

    def time_compression(self, n_images: int) -> float:
        """Return the seconds that the same threads take to compress the images and do nothing else with them."""
        image = self.images[0]
        bound = compression.bound(image.nbytes, image.itemsize)

        def compress_part(first: int) -> None:
            out = np.empty(bound, np.uint8)
            for i in range(first, n_images, self.n_threads):
                compression.compress_into(self.images[i % N_SLOTS], out)

        start = time.perf_counter()
        list(self.threads.map(compress_part, range(self.n_threads)))
        return time.perf_counter() - start

    def close(self) -> None:
        self.threads.shutdown()
        self.writer.close()
        self.agent.close()

    def _step_until(self, kind: ReportKind):
        while True:
            self.writer.step()
            while (report := self.agent.receive()) is not None:
                if report.kind == kind:
                    return report


@contextmanager
def make_bench(n_threads: int) -> Iterator[Bench]:
    with tempfile.TemporaryDirectory(prefix="sdb-") as runtime:
        config = DetectorConfig.model_validate(
            {
                "detector_name": f"bench-{os.getpid()}",
                "detector_type": "eiger",
                "n_modules": N_MODULES,
                "bit_depth": 16,
                "image_pixel_height": SHAPE[0],
                "image_pixel_width": SHAPE[1],
                "start_udp_port": 50000,
                "module_positions": {"0": [0, 0, 513, 255], "1": [516, 0, 1029, 255]},
                "runtime_dir": runtime,
                "writer": {"n_compression_threads": n_threads},
            }
        )
        publisher = RingPublisher(image_buffer_path(config), shape=SHAPE, n_slots=N_SLOTS)
        bench = Bench(config, publisher)
        try:
            yield bench
        finally:
            bench.close()
            del bench.images
            publisher.close()


def compare(
    rounds: int, gigabytes: float, ours: Callable[[], float], least: Callable[[], float]
) -> dict[str, float | list[float]]:
    """Time both in turn; the ratio is that of each turn, 1 where nothing is lost."""
    least()
    times = []
    for _ in range(rounds):
        times.append((least(), ours()))
        os.sync()
    ratios = [least_s / ours_s for least_s, ours_s in times]
    return {
        "writer_gb_s": round(gigabytes / statistics.median(ours_s for _, ours_s in times), 2),
        "least_gb_s": round(gigabytes / statistics.median(least_s for least_s, _ in times), 2),
        "ratio": round(statistics.median(ratios), 2),
        "ratio_each": [round(ratio, 2) for ratio in ratios],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("/tmp"))
    parser.add_argument("--n-images", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    configure_logs("warning")
    n_images = arguments.n_images
    gigabytes = n_images * SHAPE[0] * SHAPE[1] * 2 / 1e9
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder, make_bench(arguments.threads) as bench:
        path = Path(folder) / "file.h5"
        result = {
            "image": f"{SHAPE[0]}x{SHAPE[1]} uint16",
            "none": compare(
                arguments.rounds,
                gigabytes,
                lambda: bench.time_writer(path, n_images, "none"),
                lambda: bench.time_plain_write(path, n_images),
            ),
            "bslz4": compare(
                arguments.rounds,
                gigabytes,
                lambda: bench.time_writer(path, n_images, "bslz4"),
                lambda: bench.time_compression(n_images),
            ),
        }
    print(json.dumps(result, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
