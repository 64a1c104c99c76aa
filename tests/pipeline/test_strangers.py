"""Who sends is asked: strangers on the detector's ports cost a run nothing, whatever they send."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from std_daq.imaging.detectors.interface import Detector
from std_daq.imaging.detectors.registry import open_detector
from std_daq.recording.status_channel import StatusListener
from std_test_kit.beamline import Beamline, wait_accepted

DETECTOR, STRANGER = "127.0.0.1", "127.0.0.2"
SPECIFIC = "/entry/instrument/detector/detectorSpecific"

MakeConfig = Callable[..., dict[str, Any]]
OpenBeamline = Callable[[dict[str, Any]], Beamline]


class Source:
    """What sends frames to a beamline, from an address of its own."""

    def __init__(self, beamline: Beamline, address: str) -> None:
        self._detector: Detector = open_detector(beamline.config)
        self._first_port = beamline.config.start_udp_port
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, 0))
        self.n_modules = beamline.config.n_modules

    def packets(self, module: int, number: int, value: int) -> list[bytes]:
        raw = np.full(self._detector.raw_frame_shape(), value, np.uint16)
        frame = self._detector.packets(module, number, raw, pulse_id=0, timestamp=number + 7)
        return [packet[:length].tobytes() for packet, length in zip(frame.packets, frame.lengths, strict=True)]

    def send_packet(self, module: int, packet: bytes) -> None:
        self._socket.sendto(packet, (DETECTOR, self._first_port + module))

    def send(self, number: int, value: int, before: Callable[[int, int], None] = lambda *_: None) -> None:
        """Send a frame of each module; ``before`` is called with module and packet before each packet."""
        for module in range(self.n_modules):
            for index, packet in enumerate(self.packets(module, number, value)):
                before(module, index)
                self.send_packet(module, packet)

    def close(self) -> None:
        self._socket.close()


@contextmanager
def sources(beamline: Beamline) -> Iterator[tuple[Source, Source]]:
    both = Source(beamline, DETECTOR), Source(beamline, STRANGER)
    yield both
    for one in both:
        one.close()


@pytest.fixture
def beamline(beamline_config: MakeConfig, open_beamline: OpenBeamline) -> Beamline:
    return open_beamline(beamline_config("jungfrau"))


def record(beamline: Beamline, broker_url: str, file: Path, n_images: int, send: Callable[[], None]) -> dict[str, Any]:
    """Send while a run is written, and return its report."""
    with StatusListener(broker_url) as listener:
        listener.connection.wait_connected(10.0)
        with beamline.write(file, "--n-images", str(n_images)) as writing:
            wait_accepted(listener, file)
            send()
            _, out, err = writing.finish(60.0)
    assert out, err
    report: dict[str, Any] = json.loads(out)
    return report


def assert_whole(report: dict[str, Any], file: Path, first: int, n_images: int) -> None:
    assert (report["verdict"], report["n_written"], report["n_lost"]) == ("complete", n_images, 0)
    with h5py.File(file) as opened:
        assert opened[f"{SPECIFIC}/image_id"][:].tolist() == list(range(first, first + n_images))
        for index, image in enumerate(opened["/entry/data/data"]):
            assert set(np.unique(image).tolist()) == {index + 1}


@pytest.mark.long
@pytest.mark.parametrize("address", [DETECTOR, STRANGER])
def test_one_packet_from_far_ahead_is_not_the_first_image_of_a_run_that_waits(
    beamline: Beamline, broker_url: str, tmp_path: Path, address: str
) -> None:
    file = tmp_path / "waiting.h5"

    def send() -> None:
        with sources(beamline) as (detector, stranger):
            other = detector if address == DETECTOR else stranger
            other.send_packet(0, other.packets(0, 5000, 999)[3])
            time.sleep(2 * beamline.config.udp.idle_flush_s + beamline.config.udp.module_timeout_s)
            for index in range(10):
                detector.send(100 + index, index + 1)
                time.sleep(0.02)

    assert_whole(record(beamline, broker_url, file, 10, send), file, 100, 10)


@pytest.mark.long
def test_packets_from_500_frames_ahead_between_slow_frames_end_no_run(
    beamline: Beamline, broker_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "slow.h5"

    def send() -> None:
        with sources(beamline) as (detector, stranger):
            for index in range(12):
                detector.send(100 + index, index + 1)
                for part in range(2):
                    for other in (detector, stranger):
                        packet = other.packets(0, 600 + 2 * index + part, 999)[part]
                        other.send_packet(0, packet)
                    time.sleep(0.15)

    assert_whole(record(beamline, broker_url, file, 12, send), file, 100, 12)


@pytest.mark.long
def test_stranger_that_speaks_first_and_goes_on_costs_no_packet(
    beamline: Beamline, broker_url: str, tmp_path: Path
) -> None:
    """Its header has another position, and it sends before each frame, and in it."""
    file = tmp_path / "first.h5"

    def send() -> None:
        with sources(beamline) as (detector, stranger):
            foreign = stranger.packets(1, 100, 999)  # of module 1, to the port of module 0
            stranger.send_packet(0, foreign[5])
            for index in range(30):
                detector.send(
                    100 + index, index + 1, lambda m, i: stranger.send_packet(m, foreign[i]) if i == 5 else None
                )
                time.sleep(0.02)

    assert_whole(record(beamline, broker_url, file, 30, send), file, 100, 30)
    assert f'"address": "{STRANGER}"' in beamline.log
    _, out, _ = beamline.run("status", "--once", "--json")
    assert json.loads(out)["packets"]["rejected"] == {"foreign_sender": 61}


@pytest.mark.long
@pytest.mark.parametrize("n_frames", [1, 4])
def test_second_detector_on_the_same_ports_ends_no_run_and_is_named(
    beamline: Beamline, broker_url: str, tmp_path: Path, n_frames: int
) -> None:
    file = tmp_path / "second.h5"

    def send() -> None:
        with sources(beamline) as (detector, second):
            for index in range(20):
                detector.send(100 + index, index + 1)
                for part in range(n_frames):
                    second.send(4000 + n_frames * index + part, 999)
                time.sleep(0.05)

    assert_whole(record(beamline, broker_url, file, 20, send), file, 100, 20)
    assert beamline.log.count("foreign_sender") == beamline.config.n_modules


@pytest.mark.long
def test_detector_that_is_back_with_another_address_goes_on(
    beamline: Beamline, broker_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "address.h5"

    def send() -> None:
        with sources(beamline) as (before, after):
            for index in range(5):
                before.send(100 + index, index + 1)
                time.sleep(0.02)
            time.sleep(2.2)
            for index in range(5):
                after.send(105 + index, index + 6)
                time.sleep(0.02)

    assert_whole(record(beamline, broker_url, file, 10, send), file, 100, 10)
