"""Detectors that are not set as configured, and modules that do not agree: no image is good that is not, and the
verdict says why."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import pytest

from std_daq.imaging.config import DetectorConfig, parse_config
from std_daq.imaging.files import layout
from std_daq.recording.status_channel import StatusListener
from std_test_kit.beamline import Beamline, wait_accepted
from std_test_kit.frame_sender import FrameSender

N_IMAGES = 12
PERIOD_S = 0.03

MakeConfig = Callable[..., dict[str, Any]]
OpenBeamline = Callable[[dict[str, Any]], Beamline]
Send = Callable[[FrameSender, int], None]


def write_what_is_sent(beamline: Beamline, file: Path, detector: DetectorConfig, send: Send) -> dict[str, Any]:
    """Have a run written while ``send`` is called with the numbers of its frames, and return the report."""
    tick = threading.Event()
    with StatusListener(beamline.broker_url) as listener, FrameSender(detector) as sender:
        listener.connection.wait_connected(10.0)
        arguments = ("--n-images", str(N_IMAGES), "--first-image-timeout-s", "8", "--image-timeout-s", "3")
        with beamline.write(file, *arguments) as writing:
            wait_accepted(listener, file)
            for number in range(1, N_IMAGES + 4):
                send(sender, number)
                tick.wait(PERIOD_S)
            _, out, err = writing.finish(60.0)
    assert out, err
    report: dict[str, Any] = json.loads(out)
    return report


def statuses(file: Path) -> list[int]:
    with h5py.File(file) as opened:
        return [int(status) for status in opened[layout.STATUS][:]]


@pytest.mark.long
@pytest.mark.parametrize("receivers", [["0-1"], ["0-0", "1-1"]], ids=["in one receiver", "in two receivers"])
def test_module_that_counts_one_frame_further_makes_no_good_image(
    beamline_config: MakeConfig, open_beamline: OpenBeamline, tmp_path: Path, receivers: list[str]
) -> None:
    document = beamline_config("jungfrau", udp={"receivers": receivers})
    beamline = open_beamline(document)

    def send(sender: FrameSender, number: int) -> None:
        sender.send(0, number, pulse_id=5000 + number)
        sender.send(1, number + 1, pulse_id=5000 + number)

    report = write_what_is_sent(beamline, tmp_path / "run.h5", parse_config(document), send)
    assert report["verdict"] == "incomplete"
    assert 0 not in statuses(tmp_path / "run.h5")
    assert f"{N_IMAGES - 1} images with modules out of step (module 1)" in report["reason"]


@pytest.mark.long
def test_one_of_three_modules_is_named_and_the_two_that_agree_give_the_pulse_id(
    beamline_config: MakeConfig, open_beamline: OpenBeamline, tmp_path: Path
) -> None:
    places = {str(module): [0, 512 * module, 1023, 512 * module + 511] for module in range(3)}
    document = beamline_config(
        "jungfrau", n_modules=3, image_pixel_height=1536, image_pixel_width=1024, module_positions=places
    )
    beamline = open_beamline(document)

    def send(sender: FrameSender, number: int) -> None:
        for module in range(3):
            sender.send(module, number, pulse_id=5000 + number + (module == 2))

    report = write_what_is_sent(beamline, tmp_path / "run.h5", parse_config(document), send)
    assert f"{N_IMAGES} images with modules out of step (module 2)" in report["reason"]
    with h5py.File(tmp_path / "run.h5") as file:
        pulse_ids = file[layout.PULSE_ID][:] - file[layout.FRAME_INDEX][:]
        assert set(pulse_ids.tolist()) == {5000}


@pytest.mark.long
@pytest.mark.parametrize(("configured", "sent"), [(16, 32), (32, 16), (8, 16)])
def test_detector_of_another_bit_depth_makes_no_good_image_and_the_reason_asks_for_it(
    beamline_config: MakeConfig, open_beamline: OpenBeamline, tmp_path: Path, configured: int, sent: int
) -> None:
    document = beamline_config("eiger", bit_depth=configured)
    beamline = open_beamline(document)

    def send(sender: FrameSender, number: int) -> None:
        for module in range(4):
            sender.send(module, number)

    detector = parse_config(document | {"bit_depth": sent})
    report = write_what_is_sent(beamline, tmp_path / "run.h5", detector, send)
    assert report["verdict"] == "incomplete"
    assert 0 not in statuses(tmp_path / "run.h5")
    assert f"is the detector set to {sent} bits?" in report["reason"]
    assert ("refused packets" if sent > configured else "missing packets") in report["reason"]


@pytest.mark.long
def test_packets_of_another_module_on_a_port_mark_the_frames_that_they_claim(
    beamline_config: MakeConfig, open_beamline: OpenBeamline, tmp_path: Path
) -> None:
    document = beamline_config("jungfrau")
    beamline = open_beamline(document)

    def send(sender: FrameSender, number: int) -> None:
        sender.send(0, number)
        if number in (4, 7):
            sender.send(1, number, port=0, packets={5})
        sender.send(1, number)

    report = write_what_is_sent(beamline, tmp_path / "run.h5", parse_config(document), send)
    assert [i + 1 for i, status in enumerate(statuses(tmp_path / "run.h5")) if status] == [4, 7]
    assert report["reason"].startswith("2 images with refused packets (module 0)")
    assert "of another module: are two cables exchanged?" in report["reason"]


@pytest.mark.long
def test_module_of_which_all_packets_are_refused_is_missing_and_refused(
    beamline_config: MakeConfig, open_beamline: OpenBeamline, tmp_path: Path
) -> None:
    document = beamline_config("jungfrau", udp={"module_timeout_s": 0.1})
    beamline = open_beamline(document)

    def send(sender: FrameSender, number: int) -> None:
        sender.send(0, number)
        sender.send(1, number, n_bytes=4144)

    report = write_what_is_sent(beamline, tmp_path / "run.h5", parse_config(document), send)
    assert set(statuses(tmp_path / "run.h5")) == {1 | 4 | 16}
    assert (
        f"{N_IMAGES} images with missing modules (module 1), {N_IMAGES} images with refused packets (module 1)"
        in (report["reason"])
    )
    assert "packets of 4144 bytes came on UDP port" in report["reason"]
    assert "8240 were expected" in report["reason"]


@pytest.mark.long
def test_run_without_images_says_what_came_and_what_was_expected(
    beamline_config: MakeConfig, open_beamline: OpenBeamline, tmp_path: Path
) -> None:
    document = beamline_config("eiger")
    beamline = open_beamline(document)

    def send(sender: FrameSender, number: int) -> None:
        for module in range(4):
            sender.send(module, number, n_bytes=1072)

    report = write_what_is_sent(beamline, tmp_path / "run.h5", parse_config(document), send)
    n_packets = (N_IMAGES + 3) * 64
    assert report["verdict"] == "failed"
    assert report["reason"].startswith(f"no image came within 8 s; {n_packets} packets of 1072 bytes came on each of")
    assert "4144 were expected: is the detector set to 1 Gb?" in report["reason"]
    _, out, _ = beamline.run("status", "--json")
    (remark,) = json.loads(out)["packets"]["remarks"]
    assert remark in report["reason"]
