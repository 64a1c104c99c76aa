"""Frame numbers of real services: modules that count differently, short series, and numbers that begin again."""

import json
import socket
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import pytest

from std_daq.imaging.detectors.registry import open_detector
from std_daq.imaging.protocols.image_metadata import ImageStatus
from std_daq.recording.status_channel import StatusListener
from std_test_kit.beamline import Beamline, wait_accepted

SPECIFIC = "/entry/instrument/detector/detectorSpecific"

MakeConfig = Callable[..., dict[str, Any]]
OpenBeamline = Callable[[dict[str, Any]], Beamline]


class Exposure(NamedTuple):
    """When it is sent, in seconds; the frame number of each module; how many packets the last module lacks."""

    at_s: float
    numbers: list[int]
    n_lacking: int = 0


def series(lengths: Iterable[int], n_modules: int, period_s: float, pause_s: float) -> list[Exposure]:
    exposures, at_s = [], 0.0
    for length in lengths:
        for number in range(1, length + 1):
            exposures.append(Exposure(at_s, [number] * n_modules))
            at_s += period_s
        at_s += pause_s
    return exposures


def record(
    beamline: Beamline, broker_url: str, file: Path, exposures: list[Exposure]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Send exposures while a run is written; return the report and the columns of the file."""
    with StatusListener(broker_url) as listener:
        listener.connection.wait_connected(10.0)
        with beamline.write(file, "--n-images", str(len(exposures))) as writing:
            wait_accepted(listener, file)
            send(beamline, exposures)
            _, out, err = writing.finish(60.0)
    assert out, err
    with h5py.File(file) as opened:
        columns = {name: opened[f"{SPECIFIC}/{name}"][:] for name in ("image_id", "status", "missing_packets")}
        columns["images"] = opened["/entry/data/data"][:]
    return json.loads(out), columns


def send(beamline: Beamline, exposures: list[Exposure]) -> None:
    """Send exposures; all pixels of an exposure have its index plus 1 as their value."""
    detector = open_detector(beamline.config)
    start_s = time.monotonic()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for index, exposure in enumerate(exposures):
            raw = np.full(detector.raw_frame_shape(), index + 1, np.uint16)
            frames = [
                detector.packets(module, number, raw, pulse_id=0, timestamp=1000 + index)
                for module, number in enumerate(exposure.numbers)
            ]
            time.sleep(max(0.0, start_s + exposure.at_s - time.monotonic()))
            for module, frame in enumerate(frames):
                n = len(frame.packets) - (exposure.n_lacking if module == len(frames) - 1 else 0)
                for packet, length in zip(frame.packets[:n], frame.lengths[:n], strict=True):
                    address = ("127.0.0.1", beamline.config.start_udp_port + frame.port)
                    sender.sendto(packet[:length].tobytes(), address)


def values(images: np.ndarray) -> list[set[int]]:
    """The values of the pixels of each image that are not fill values."""
    return [set(np.unique(image[image > 0]).tolist()) for image in images]


@pytest.mark.long
def test_module_that_jumps_ahead_is_missing_and_named_and_the_others_are_in_all_images(
    beamline_config: MakeConfig, open_beamline: OpenBeamline, broker_url: str, tmp_path: Path
) -> None:
    beamline = open_beamline(beamline_config("eiger"))
    n_modules = beamline.config.n_modules
    exposures = []
    for index in range(40):
        numbers = [100 + index] * n_modules
        numbers[1] += 2500 if index >= 10 else 0
        exposures.append(Exposure(index * 0.05, numbers))
    report, columns = record(beamline, broker_url, tmp_path / "jump.h5", exposures)
    assert (report["n_written"], report["n_lost"]) == (40, 0)
    assert columns["image_id"].tolist() == list(range(100, 140))
    n_whole = (columns["missing_packets"] == 0).sum(axis=0).tolist()
    assert n_whole == [40, 10, *[40] * (n_modules - 2)]
    assert values(columns["images"]) == [{index + 1} for index in range(40)]
    assert columns["status"][-1] & ImageStatus.RENUMBERED
    assert "module 1 counts 2500 frames ahead of the others" in beamline.log
    _, out, _ = beamline.run("status", "--once", "--json")
    assert json.loads(out)["packets"]["frames_ahead"] == {"1": 2500}


@pytest.mark.parametrize("kind", ["eiger", "gigafrost", "jungfrau"])
@pytest.mark.long
def test_short_series_each_numbered_from_1_are_whole(
    beamline_config: MakeConfig,
    open_beamline: OpenBeamline,
    broker_url: str,
    tmp_path: Path,
    kind: str,
) -> None:
    beamline = open_beamline(beamline_config(kind))
    for pause_s in (0.1, 0.3):
        exposures = series([1, 1, 2, 3, 1, 5, 2, 1], beamline.config.n_modules, 0.02, pause_s)
        report, columns = record(beamline, broker_url, tmp_path / f"pause_of_{pause_s}.h5", exposures)
        assert (report["verdict"], report["n_written"]) == ("complete", len(exposures))
        assert columns["image_id"].tolist() == [exposure.numbers[0] for exposure in exposures]
        assert values(columns["images"]) == [{index + 1} for index in range(len(exposures))]


@pytest.mark.long
def test_frame_that_lacks_a_packet_at_the_end_of_a_series_keeps_the_others(
    beamline_config: MakeConfig, open_beamline: OpenBeamline, broker_url: str, tmp_path: Path
) -> None:
    beamline = open_beamline(beamline_config("eiger"))
    lengths = [3, 1, 1, 3]
    ends = {sum(lengths[: i + 1]) - 1 for i in range(len(lengths))}
    exposures = [
        exposure._replace(n_lacking=1 if index in ends else 0)
        for index, exposure in enumerate(series(lengths, beamline.config.n_modules, 0.02, 0.1))
    ]
    report, columns = record(beamline, broker_url, tmp_path / "ends.h5", exposures)
    assert report["n_written"] == len(exposures)
    assert columns["missing_packets"].sum(axis=1).tolist() == [exposure.n_lacking for exposure in exposures]
    assert values(columns["images"]) == [{index + 1} for index in range(len(exposures))]


@pytest.mark.long
def test_numbers_that_begin_again_while_images_are_lost_lose_no_other(
    beamline_config: MakeConfig, open_beamline: OpenBeamline, broker_url: str, tmp_path: Path
) -> None:
    beamline = open_beamline(beamline_config("gigafrost"))
    first = 2**24 - 10
    sent = [index for index in range(25) if not 8 <= index < 13]
    exposures = [Exposure(index * 0.03, [(first + index) % 2**24] * 8) for index in sent]
    with_lost = [*exposures, *[Exposure(0.03 * 25, [first + 25 - 2**24 + i] * 8) for i in range(5)]]
    report, columns = record(beamline, broker_url, tmp_path / "wrap.h5", with_lost)
    assert columns["image_id"].tolist()[: len(sent)] == [first + index for index in sent]
    assert report["lost_image_ids"] == [first + index for index in range(8, 13)]
    assert not columns["missing_packets"].any()
