"""Frames that lack the same packets each time: a setting of the detector, which the user is told."""

import numpy as np
import pytest

from std_daq.imaging.config import parse_config
from std_daq.imaging.detectors.registry import open_detector
from std_udp_recv.same_packets import MIN_FRAMES, SamePackets, same_packets_of

HINTS = {(56, 71): "does the detector read 64 rows?"}


def bitmap(*units: int, n_words: int = 2) -> np.ndarray:
    words = np.zeros(n_words, np.uint64)
    for unit in units:
        words[unit // 64] |= np.uint64(1 << unit % 64)
    return words


def watch(first_unit: int = 0) -> SamePackets:
    return SamePackets("UDP port 50001 (module 0)", 128, first_unit, HINTS)


def test_packets_that_always_come_are_named_once_with_what_they_suggest() -> None:
    same = watch()
    told = [same.feed(bitmap(*range(56, 72))) for _ in range(3 * MIN_FRAMES)]
    assert told == [number == MIN_FRAMES for number in range(1, 3 * MIN_FRAMES + 1)]
    assert same.describe() == (
        "of each frame only packets 56 to 71 come on UDP port 50001 (module 0), 128 were expected: "
        "does the detector read 64 rows?"
    )


def test_packets_are_named_by_the_numbers_that_they_carry() -> None:
    same = watch(first_unit=50)
    for _ in range(MIN_FRAMES):
        same.feed(bitmap(*range(6, 22)))
    assert "only packets 56 to 71 come" in same.describe()


def test_packets_with_a_gap_are_counted() -> None:
    same = watch()
    for _ in range(MIN_FRAMES):
        same.feed(bitmap(1, 3, 100))
    assert "only the same 3 packets come" in same.describe()


@pytest.mark.parametrize("disturb", ["a complete frame", "another loss"])
def test_ordinary_losses_are_not_taken_for_a_setting(disturb: str) -> None:
    same = watch()
    for number in range(10 * MIN_FRAMES):
        if number % (MIN_FRAMES - 1) == 0:
            same.feed_complete() if disturb == "a complete frame" else same.feed(bitmap(number % 128))
        assert not same.feed(bitmap(*range(127)))
        assert same.describe() == ""


def jungfrau(**udp: int) -> dict:
    return {
        "detector_type": "jungfrau",
        "bit_depth": 16,
        "image_pixel_height": 512,
        "image_pixel_width": 1024,
        "udp": udp,
    }


EIGER = {"detector_type": "eiger", "bit_depth": 16, "image_pixel_height": 256, "image_pixel_width": 514}


@pytest.mark.parametrize(
    ("configured", "submodule", "packets", "hint"),
    [
        (jungfrau(), 0, range(56, 72), "readnrows to 64"),
        (jungfrau(), 0, range(63, 65), "readnrows to 8"),
        (jungfrau(), 0, range(64), "udp.numinterfaces to 2"),
        (jungfrau(numinterfaces=2), 0, range(56, 64), "readnrows to 64"),
        (jungfrau(numinterfaces=2), 1, range(8), "readnrows to 64"),
        (EIGER, 0, range(16), "readnrows to 64"),
        (EIGER | {"detector": {"tengiga": False}}, 0, range(64), "readnrows to 64"),
    ],
)
def test_the_number_of_rows_to_configure_is_told(configured: dict, submodule: int, packets: range, hint: str) -> None:
    config = parse_config({"detector_name": "d", "n_modules": 1, "start_udp_port": 50001, **configured})
    layout = open_detector(config).packet_layout(submodule)
    same = same_packets_of(layout, 50001, 0)
    for _ in range(MIN_FRAMES):
        same.feed(bitmap(*packets, n_words=4))
    assert hint in same.describe()
