"""What simulated boards send."""

import struct
from collections import Counter

import numpy as np
import pytest

from std_daq.telescope.boards import Telescope
from std_daq.telescope.boards.simulation import BoardPacketMaker
from std_daq.telescope.pff.product import PRODUCTS
from std_test_kit.telescope_boards import telescope_config

NOW_NS = 1_721_882_092_691_344_000
_HEADER = struct.Struct("<BBHBBIIxx")


def header(packet: np.ndarray) -> tuple[int, ...]:
    """Return mode, version, number, module, quarter, TAI second and nanosecond."""
    mode, version, number, low, high, tai, nsec = _HEADER.unpack(packet[:16].tobytes())
    return mode, version, number, high * 64 + low // 4, low % 4, tai, nsec


def maker(product: str, modules: tuple[int, ...]) -> BoardPacketMaker:
    return BoardPacketMaker(PRODUCTS[product], modules, seed=1, clock=lambda: NOW_NS)


def test_movie_images_come_from_one_module_after_another_with_the_time_of_day() -> None:
    of = maker("img16", (1, 300))
    image = np.zeros((4, 16, 16), np.uint16)
    seen = [[header(p) for p in of.exposure(image, n, pulse_id=0, timestamp=0)[0].packets] for n in range(4)]
    assert [{packet[3] for packet in packets} for packets in seen] == [{1}, {300}, {1}, {300}]
    assert [packet[2] for packets in seen for packet in packets] == [0] * 8 + [1] * 8
    assert all([packet[4] for packet in packets] == [0, 1, 2, 3] for packets in seen)
    # 1721882092 + 37 s of TAI, modulo 1024 s
    assert {packet[5] for packets in seen for packet in packets} == {(1_721_882_092 + 37) % 1024}
    assert all(abs(packet[6] - 691_344_000) <= 20 for packets in seen for packet in packets)


def test_pulse_heights_come_from_any_board_of_any_module_and_each_board_counts() -> None:
    of = maker("ph256", (1, 2))
    image = np.zeros((1, 16, 16), np.int16)
    numbers: Counter[tuple[int, int]] = Counter()
    for n in range(200):
        (packet,) = of.exposure(image, n, pulse_id=0, timestamp=0)[0].packets
        mode, _, number, module, quarter, *_ = header(packet)
        assert mode == 1
        assert number == numbers[module, quarter]
        numbers[module, quarter] += 1
    assert len(numbers) == 8


def test_boards_count_from_0_again_after_a_restart() -> None:
    of = maker("img8", (1,))
    image = np.zeros((4, 16, 16), np.uint8)
    numbers = [header(of.exposure(image, n, pulse_id=0, timestamp=0)[0].packets[0])[2] for n in (1, 2, 3, 1, 2)]
    assert numbers == [0, 1, 2, 0, 1]


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize("pattern", Telescope.patterns)
def test_patterns_have_the_pixels_of_the_product(product: str, pattern: str) -> None:
    telescope = Telescope(telescope_config(product))
    frames = telescope.simulated_frames(pattern, seed=3)
    first, second = next(frames), next(frames)
    assert first.shape == (PRODUCTS[product].n_packets, 16, 16)
    assert first.dtype == telescope.image_dtype
    assert np.array_equal(first, second) == (pattern == "dark")
    assert np.array_equal(first, next(telescope.simulated_frames(pattern, seed=3)))
    if pattern == "showers" and product == "ph256":
        assert first.min() < 0 < first.max()
