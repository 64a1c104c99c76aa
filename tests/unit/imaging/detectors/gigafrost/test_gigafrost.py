import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from std_daq.errors import ConfigError
from std_daq.imaging.config import DetectorConfig
from std_daq.imaging.detectors.gigafrost import Gigafrost
from std_daq.imaging.detectors.gigafrost.kernels import unpack_rows
from std_daq.imaging.detectors.packed_pixels import packed_12_bits
from std_daq.imaging.detectors.reference_receiver import receive_frame
from std_daq.imaging.detectors.registry import open_detector

# width, height, rows in a packet, bytes of its pixels, packets, bytes of the last one's pixels
KNOWN_SIZES = [(2016, 2016, 4, 6048, 126, 6048), (528, 280, 18, 7128, 4, 6336), (480, 128, 20, 7200, 2, 4320)]
# Others, with padded packets among them.
SIZES = st.sampled_from([(2016, 16), (528, 280), (480, 128), (52, 4), (56, 12), (312, 20), (1000, 36), (280, 528)])


def config(width: int = 480, height: int = 128, **changes: Any) -> DetectorConfig:
    values: dict[str, Any] = {
        "detector_name": "GF",
        "detector_type": "gigafrost",
        "n_modules": 8,
        "bit_depth": 12,
        "image_pixel_height": height,
        "image_pixel_width": width,
        "start_udp_port": 50000,
    }
    return DetectorConfig(**(values | changes))


def expected_image(detector: Gigafrost, raw: NDArray[Any]) -> NDArray[np.uint16]:
    """Place pixels one row at a time by the published start index and step."""
    height, width = detector.config.image_shape
    image = np.zeros(height * width, np.uint16)
    for module, rows in enumerate(raw):
        quadrant, link = divmod(module, 2)
        is_north, is_east = quadrant >= 2, quadrant % 2 == 1
        start = (height - 1) // 2 * width - link * width if is_north else height // 2 * width + link * width
        start += width // 2 if is_east else 0
        for i, row in enumerate(rows):
            at = start + i * 2 * width * (-1 if is_north else 1)
            image[at : at + width // 2] = row
    return image.reshape(height, width)


def receive(detector: Gigafrost, module: int, raw: NDArray[Any], frame_number: int = 5, lost: int = 0) -> Any:
    sent = detector.packets(module, frame_number, raw, pulse_id=0, timestamp=1)
    datagrams = [
        bytes(packet[:length]) for i, (packet, length) in enumerate(zip(sent.packets, sent.lengths, strict=True))
        if not lost >> i & 1
    ]  # fmt: skip
    return receive_frame(detector.packet_layout(module), datagrams)


def test_the_registry_opens_a_gigafrost() -> None:
    assert isinstance(open_detector(config()), Gigafrost)


@pytest.mark.parametrize(("width", "height", "rows", "n_bytes", "n_packets", "last_bytes"), KNOWN_SIZES)
def test_packets_have_the_known_sizes(
    width: int, height: int, rows: int, n_bytes: int, n_packets: int, last_bytes: int
) -> None:
    detector = Gigafrost(config(width, height))
    raw = np.zeros(detector.raw_frame_shape(), np.uint16)
    sent = detector.packets(0, 0, raw, pulse_id=0, timestamp=0)
    assert sent.lengths.tolist() == [32 + n_bytes] * (n_packets - 1) + [32 + last_bytes]
    layout = detector.packet_layout(0)
    assert [layout.unit.read(bytes(packet)) for packet in sent.packets] == [rows * i for i in range(n_packets)]
    assert layout.max_packet_bytes >= sent.lengths.max()


@settings(max_examples=20, deadline=None)
@given(SIZES, st.integers(0, 1000))
def test_packets_become_the_image(size: tuple[int, int], seed: int) -> None:
    detector = Gigafrost(config(*size))
    raw = next(iter(detector.simulated_frames("counter", seed)))
    image = np.full(detector.config.image_shape, 9999, np.uint16)
    converter = detector.converter()
    converter.fill_gaps(image)
    for module in range(8):
        converter.convert(module, *receive(detector, module, raw[module]), 0, image)
    np.testing.assert_array_equal(image, expected_image(detector, raw))


def test_a_full_size_image_is_placed() -> None:
    detector = Gigafrost(config(2016, 2016))
    raw = next(iter(detector.simulated_frames("gradient", 0)))
    image = np.full(detector.config.image_shape, 9999, np.uint16)
    for module in range(8):
        detector.converter().convert(module, *receive(detector, module, raw[module]), 0, image)
    np.testing.assert_array_equal(image, expected_image(detector, raw))


@settings(max_examples=25, deadline=None)
@given(SIZES, st.integers(0, 7), st.integers(0, 2**40 - 1))
def test_every_row_that_arrived_is_right_and_no_other_module_is_touched(
    size: tuple[int, int], module: int, lost: int
) -> None:
    detector = Gigafrost(config(*size, assembler={"fill_value": 77}))
    raw = next(iter(detector.simulated_frames("counter", lost % 100)))
    frame, received = receive(detector, module, raw[module], lost=lost)
    frame.flags.writeable = False
    image = np.full(detector.config.image_shape, 9999, np.uint16)
    converter = detector.converter()
    converter.convert(module, frame, received, 0, image)

    has_arrived = [received[row // 64] >> np.uint64(row % 64) & np.uint64(1) for row in range(raw.shape[1])]
    expected_raw = np.full_like(raw, 9999)
    expected_raw[module] = np.where(np.array(has_arrived, bool)[:, None], raw[module], 77)
    np.testing.assert_array_equal(image, expected_image(detector, expected_raw))

    converter.fill(module, image)
    expected_raw[module] = 77
    np.testing.assert_array_equal(image, expected_image(detector, expected_raw))


def test_an_odd_number_of_rows_is_padded_and_the_padding_dropped() -> None:
    detector = Gigafrost(config(280, 528))
    raw = next(iter(detector.simulated_frames("counter", 0)))[0]
    sent = detector.packets(0, 0, raw, pulse_id=0, timestamp=0)
    has_padding = (sent.lengths - 32) % (140 * 3 // 2) == 36
    assert has_padding.any()
    frame, _ = receive(detector, 0, raw)
    np.testing.assert_array_equal(frame, packed_12_bits(raw).reshape(-1))


def test_sixteen_ports_carry_alternate_images_of_eight_modules() -> None:
    detector = Gigafrost(config())
    raw = np.zeros(detector.raw_frame_shape(), np.uint16)
    assert detector.n_ports == 16
    for module in range(8):
        ports = [detector.packets(module, n, raw, pulse_id=0, timestamp=0).port for n in range(4)]
        assert ports == [module, module + 8, module, module + 8]
        assert all(detector.submodule_of_port(port) == module for port in ports)


def test_a_packet_of_another_quadrant_or_link_is_foreign() -> None:
    detector = Gigafrost(config())
    raw = np.zeros(detector.raw_frame_shape(), np.uint16)
    for sender, receiver in itertools.product(range(8), range(8)):
        packet = detector.packets(sender, 0, raw, pulse_id=0, timestamp=0).packets[0]
        checks = detector.packet_layout(receiver).checks
        reasons = [check.reason for check in checks if check.field.read(bytes(packet)) != check.expected]
        assert reasons == ([] if sender == receiver else ["foreign_module"])


def test_frame_numbers_have_24_bits_and_time_stamps_40() -> None:
    detector = Gigafrost(config())
    raw = np.zeros(detector.raw_frame_shape(), np.uint16)
    sent = detector.packets(3, 2**24 + 6, raw, pulse_id=0, timestamp=2**40 + 5, daq_rec=0x8001)
    layout, packet = detector.packet_layout(3), bytes(sent.packets[0])
    assert layout.key.read(packet[:8] + b"\xff" * 4 + packet[12:]) == 2**24 - 1
    assert layout.key.read(packet) == 6
    assert layout.timestamp is not None
    assert layout.timestamp.read(packet) == 5
    assert layout.daq_rec is not None
    assert layout.daq_rec.read(packet) == 0x8001


@pytest.mark.parametrize("is_compiled", [True, False])
@pytest.mark.parametrize("y_step", [2, -2])
def test_the_kernel_agrees_with_numpy_compiled_and_interpreted(is_compiled: bool, y_step: int) -> None:
    raw = np.random.default_rng(0).integers(0, 4096, (4, 12)).astype(np.uint16)
    image = np.full((9, 20), 5, np.uint16)
    function = unpack_rows if is_compiled else unpack_rows.py_func
    y_first = 1 if y_step > 0 else 7
    function(packed_12_bits(raw), np.array([0b1101], np.uint64), image, y_first, y_step, 3, np.uint16(8))
    raw[1] = 8
    expected = np.full_like(image, 5)
    expected[1:8:2, 3:15] = raw[:: y_step // 2]
    np.testing.assert_array_equal(image, expected)


def test_published_bytes_unpack_as_documented() -> None:
    image = np.zeros((1, 2), np.uint16)
    unpack_rows(np.array([[0x21, 0x43, 0x65]], np.uint8), np.ones(1, np.uint64), image, 0, 2, 0, np.uint16(0))
    assert image.tolist() == [[0x321, 0x654]]


def test_a_module_that_is_off_is_filled_and_masked() -> None:
    detector = Gigafrost(config(deactivate=[2]))
    mask = detector.pixel_mask()
    assert (mask == 2).sum() == 128 * 480 / 8
    image = np.full(detector.config.image_shape, 5, np.uint16)
    raw = np.full((8, *detector.raw_frame_shape()), 9)
    detector.converter().convert(2, *receive(detector, 2, raw[2]), 0, image)
    np.testing.assert_array_equal(image == 0, mask == 2)


def test_simulated_frames_are_the_same_for_one_seed_and_fit_12_bits() -> None:
    detector = Gigafrost(config())
    for pattern in detector.patterns:
        one, two = (list(itertools.islice(detector.simulated_frames(pattern, 7), 2)) for _ in range(2))
        np.testing.assert_array_equal(one, two)
        assert one[0].shape == (8, 32, 240)
        assert one[0].max() <= 4095


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_modules": 4}, r"key 'n_modules': .*got 4\); give 8"),
        ({"bit_depth": 10}, r"key 'bit_depth': .*give 12 or 16"),
        ({"image_id": "pulse_id"}, r"key 'image_id': GIGAFROST packets carry no pulse id"),
        ({"width": 482}, r"key 'image_pixel_width': .*got 482\); give a multiple of 4 up to 2016"),
        ({"height": 2020}, r"key 'image_pixel_height': .*got 2020"),
        ({"width": 48}, r"key 'image_pixel_width': .*give at least 52"),
        ({"detector": {"x": 1}}, r"key 'detector.x': unknown key"),
    ],
)
def test_a_wrong_configuration_is_refused_with_key_and_remedy(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Gigafrost(config(**changes))
