"""Who runs the services of a system removes its own rings at its end, and no other's."""

from pathlib import Path

import pytest

from std_daq.cli.system_rings import SystemRings
from std_daq.errors import ResourceError
from std_daq.imaging.config.load import parse_config
from std_daq.imaging.config.model import DetectorConfig
from std_daq.shm.segment import Segment

CONFIG = {
    "detector_name": "rings",
    "detector_type": "jungfrau",
    "n_modules": 1,
    "bit_depth": 16,
    "image_pixel_height": 512,
    "image_pixel_width": 1024,
    "start_udp_port": 50000,
}


@pytest.fixture
def config(shm_dir: Path) -> DetectorConfig:
    return parse_config({**CONFIG, "shared_memory": {"directory": str(shm_dir)}})


def make_ring(path: Path, *, is_written: bool) -> Segment:
    segment, _ = Segment.create_or_attach(path, 1 << 16, {"kind": "any"}, size_key="none")
    if is_written:
        segment.lock(0, "assembler")
    return segment


def test_rings_without_a_writer_are_removed_at_the_end_with_the_lock(config: DetectorConfig, shm_dir: Path) -> None:
    with SystemRings(config):
        for path in config.ring_paths:
            make_ring(path, is_written=False).close()
    assert list(shm_dir.iterdir()) == []


def test_rings_are_kept_if_asked(config: DetectorConfig, shm_dir: Path) -> None:
    with SystemRings(config, keep=True):
        make_ring(config.ring_paths[0], is_written=False).close()
    assert list(shm_dir.iterdir()) == [config.ring_paths[0]]


def test_second_command_says_who_has_the_rings_and_changes_nothing(config: DetectorConfig, shm_dir: Path) -> None:
    with SystemRings(config):
        make_ring(config.ring_paths[0], is_written=False).close()  # its writer is just being started again
        before = sorted(shm_dir.iterdir())
        with pytest.raises(
            ResourceError, match=r"rings of rings cannot be used, and nothing was changed.*runtime directory"
        ):
            SystemRings(config, wait_s=0).__enter__()
        assert sorted(shm_dir.iterdir()) == before
    assert list(shm_dir.iterdir()) == []


def test_rings_of_services_that_something_else_started_are_left_alone(config: DetectorConfig, shm_dir: Path) -> None:
    segment = make_ring(config.ring_paths[1], is_written=True)
    with pytest.raises(ResourceError, match=r"already run: process \d+ writes to .*rings-images"):
        SystemRings(config, wait_s=0).__enter__()
    assert segment.is_live
    assert list(shm_dir.iterdir()) == [config.ring_paths[1]]
    segment.close()


def test_ring_that_got_another_writer_meanwhile_is_left_alone(config: DetectorConfig) -> None:
    with SystemRings(config):
        segment = make_ring(config.ring_paths[1], is_written=True)
    assert segment.is_live
    segment.close()
