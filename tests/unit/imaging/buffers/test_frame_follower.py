from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from std_daq.imaging.buffers.frame_follower import FrameFollower
from std_daq.imaging.config.load import parse_config
from std_daq.imaging.config.model import DetectorConfig
from std_test_kit.frames import FrameFeeder

N_SLOTS = 8
SHAPE = (4, 256, 512)


@pytest.fixture
def config(shm_dir: Path, runtime: Path) -> DetectorConfig:
    return parse_config(
        {
            "detector_name": "det",
            "detector_type": "eiger",
            "n_modules": 4,
            "bit_depth": 16,
            "image_pixel_height": 514,
            "image_pixel_width": 1030,
            "start_udp_port": 50000,
            "module_positions": {
                "0": [0, 258, 513, 513],
                "1": [516, 258, 1029, 513],
                "2": [0, 255, 513, 0],
                "3": [516, 255, 1029, 0],
            },
            "deactivate": [3],
            "shared_memory": {"directory": str(shm_dir), "frame_slots": N_SLOTS},
        }
    )


@pytest.fixture
def feeder(config: DetectorConfig) -> Iterator[FrameFeeder]:
    feeder = FrameFeeder(config)
    yield feeder
    feeder.close()


@pytest.fixture
def follower(config: DetectorConfig, feeder: FrameFeeder) -> Iterator[FrameFollower]:
    follower = FrameFollower(config)
    assert list(follower.read()) == []  # from now on
    yield follower
    follower.close()


def raw(number: int) -> np.ndarray:
    return np.full(SHAPE, number, np.uint16)


def test_frames_of_modules_that_are_on_are_given(feeder: FrameFeeder, follower: FrameFollower) -> None:
    feeder.publish(7, raw(7))
    frames = list(follower.read())
    assert [(frame.submodule, frame.frame_index) for frame in frames] == [(0, 7), (1, 7), (2, 7)]
    assert all((frame.pixels.view("<u2") == 7).all() for frame in frames)


def test_incomplete_frames_are_left_out(feeder: FrameFeeder, follower: FrameFollower) -> None:
    feeder.publish(7, raw(7), lost={1: {3}}, absent={2})
    assert [frame.submodule for frame in follower.read()] == [0]
    assert follower.n_incomplete == 2


def test_overwritten_frames_are_left_out(feeder: FrameFeeder, follower: FrameFollower) -> None:
    for number in range(N_SLOTS + 2):
        feeder.publish(number, raw(number))
    numbers = {frame.frame_index for frame in follower.read()}
    assert numbers == set(range(2, N_SLOTS + 2))


def test_frame_that_is_overwritten_under_the_reader_is_left_out(
    feeder: FrameFeeder, follower: FrameFollower, monkeypatch: pytest.MonkeyPatch
) -> None:
    feeder.publish(7, raw(7))
    ring_class = type(feeder.ring)
    take = ring_class.frame

    def overwrite_then_take(ring: object, index: int) -> np.ndarray:
        feeder.ring.begin(index)
        feeder.ring.end(index)
        return take(feeder.ring, index)

    monkeypatch.setattr(ring_class, "frame", overwrite_then_take)
    assert list(follower.read()) == []
    assert follower.n_overwritten == 3
