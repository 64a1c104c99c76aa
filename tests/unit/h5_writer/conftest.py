"""An h5_writer whose steps the test takes, between a ring and the agent's side of the StoreStream."""

from collections.abc import Callable, Iterator
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from std_daq.imaging.buffers.image_buffer import ImageBuffer
from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.config.paths import image_buffer_path
from std_daq.imaging.detectors.eiger.packets import eiger_layout
from std_daq.imaging.detectors.packet_layout import PacketLayout
from std_daq.imaging.recording import IMAGES
from std_daq.recording.addresses import fence_path, store_address, store_reports_address
from std_daq.recording.fence import Fence
from std_daq.recording.file_access import FileAccess
from std_daq.recording.store_stream import ReportKind, WriterReport
from std_daq.streams.queue import PullQueue
from std_h5_writer.compressor import OrderedCompressor
from std_h5_writer.file_owner import FileOwner
from std_h5_writer.image_file_maker import ImageFileMaker
from std_h5_writer.metrics import WriterMetrics
from std_h5_writer.reporter import Reporter
from std_h5_writer.ring_reader import RingReader
from std_h5_writer.run_description import RunDescriber
from std_h5_writer.way_to_disk import WayToDisk
from std_h5_writer.writer import H5Writer
from std_test_kit.store_driver import N_MODULES, RingPublisher, StoreDriver

SHAPE = (64, 128)


class FakeDetector:
    """The little that a writer asks of a detector."""

    bit_depth_readout = 16
    is_pixel_mask_applied = True

    def __init__(self, config: DetectorConfig) -> None:
        self.shape = config.image_pixel_height, config.image_pixel_width

    def packet_layout(self, submodule: int) -> PacketLayout:
        return eiger_layout(16, tengiga=True, n_rows=256)

    def pixel_mask(self) -> np.ndarray:
        mask = np.zeros(self.shape, np.uint32)
        mask[3, 5] = 1
        return mask


class Bench:
    """A writer, its ring and its agent."""

    def __init__(self, config: DetectorConfig) -> None:
        self.config = config
        self.agent = StoreDriver(config)
        self.registry = CollectorRegistry()
        self.ring_path = image_buffer_path(config)
        self.publisher: RingPublisher | None = None
        self.ring = RingReader(partial(ImageBuffer.attach, self.ring_path), attrgetter("pixels"))
        owner = FileOwner(None, FileAccess.of_config(config.writer), config.writer.output_roots)
        self.writer = H5Writer(
            inbox=PullQueue(store_address(config, 0), bind=False),
            reporter=Reporter(store_reports_address(config), 0, patience_s=30.0),
            ring=self.ring,
            compressor=OrderedCompressor(config.writer.n_compression_threads),
            recorded=IMAGES,
            files=ImageFileMaker(RunDescriber(config, FakeDetector(config)), owner),
            owner=owner,
            way_to_disk=WayToDisk(is_direct=config.writer.direct_io),
            fence=Fence(fence_path(config, 0)),
            metrics=WriterMetrics(self.registry, "h5-writer-0"),
            flush_interval_s=config.writer.flush_interval_s,
        )
        self.is_open = True

    def make_ring(self, **options: Any) -> RingPublisher:
        self.publisher = RingPublisher(self.ring_path, **({"shape": SHAPE} | options))
        return self.publisher

    def step_until(self, kind: ReportKind) -> WriterReport:
        for _ in range(300):
            self.writer.step()
            while (report := self.agent.receive()) is not None:
                if report.kind == kind:
                    return report
        raise AssertionError(f"no report '{kind}': {self.agent.reports[-3:]}")

    @property
    def n_handled(self) -> float:
        """Images written or lost."""
        return self.value("daq_writer_images_written_total") + self.value("daq_writer_images_lost_total")

    def value(self, metric: str, **labels: str) -> float:
        value = self.registry.get_sample_value(metric, labels)
        assert value is not None, metric
        return value

    def close_writer(self) -> None:
        if self.is_open:
            self.is_open = False
            self.writer.close()

    def close(self) -> None:
        self.close_writer()
        if self.publisher is not None:
            self.publisher.close()
        self.agent.close()


@pytest.fixture
def make_config(runtime: Path, shm_dir: Path) -> Callable[..., DetectorConfig]:
    def make(**changes: Any) -> DetectorConfig:
        document: dict[str, Any] = {
            "detector_name": "writer-test",
            "detector_type": "fake",
            "n_modules": N_MODULES,
            "bit_depth": 16,
            "image_pixel_height": SHAPE[0],
            "image_pixel_width": SHAPE[1],
            "start_udp_port": 50000,
            "shared_memory": {"directory": str(shm_dir)},
        }
        return DetectorConfig.model_validate(document | changes)

    return make


@pytest.fixture
def bench(make_config: Callable[..., DetectorConfig]) -> Iterator[Bench]:
    bench = Bench(make_config())
    yield bench
    bench.close()


@pytest.fixture
def make_bench(make_config: Callable[..., DetectorConfig]) -> Iterator[Callable[..., Bench]]:
    benches: list[Bench] = []

    def make(**changes: Any) -> Bench:
        benches.append(Bench(make_config(**changes)))
        return benches[-1]

    yield make
    for bench in benches:
        bench.close()
