import hashlib
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from std_daq.errors import ConfigError
from std_daq.imaging.config import DetectorConfig, load_config
from std_daq.imaging.detectors.eiger import Eiger
from std_daq.imaging.detectors.eiger.kernels import place_nibbles, place_packed
from std_daq.imaging.detectors.eiger.packets import packed_pixels
from std_daq.imaging.detectors.kernels import place_chips
from std_daq.imaging.detectors.module_map import ChipGrid, Placement
from std_daq.imaging.detectors.reference_receiver import receive_frame
from std_daq.imaging.detectors.registry import open_detector
from std_test_kit.shared_data import REAL_EIGER

REPOSITORY = Path(__file__).parents[5]
SHA256 = {
    29512: "dc037fc6956d334bf7e8f9ae735c1a75a39b1ea83c979b10caff89d6a77684a0",
    29513: "b2dbc6a24428a1b752d5efc7163a5bf7417f10446dc0d31bd924434efa4dd313",
    29514: "e1bd6a2af379fd37d3b89b43d8e8b99a1a0ca07bc5aebaa07993455fa84f3515",
    29515: "e7d1fca86ed17bcc6b35087a6139691c19ddc3e0c0ae430a99ac9379b73396a9",
    29516: "528066d97cdb55b205a758746f2265d3bc2bf7902910e45ca80ab08e9819e023",
}
MODULE = {0: (0, 258, 513, 513), 1: (516, 258, 1029, 513), 2: (0, 255, 513, 0), 3: (516, 255, 1029, 0)}


def config(bit_depth: int = 16, **changes: Any) -> DetectorConfig:
    values: dict[str, Any] = {
        "detector_name": "EG",
        "detector_type": "eiger",
        "n_modules": 4,
        "bit_depth": bit_depth,
        "image_pixel_height": 514,
        "image_pixel_width": 1030,
        "start_udp_port": 50000,
        "module_positions": MODULE,
    }
    return DetectorConfig(**(values | changes))


def nine_megapixels(**changes: Any) -> DetectorConfig:
    positions = {}
    for row, column in itertools.product(range(6), range(3)):
        x, y = 1038 * column, 550 * row
        for quarter, (x0, y0, x1, y1) in MODULE.items():
            positions[len(positions)] = (x + x0, y + y0, x + x1, y + y1)
            assert quarter == (len(positions) - 1) % 4
    return config(n_modules=72, image_pixel_height=3264, image_pixel_width=3106, module_positions=positions, **changes)


def expected_image(detector: Eiger, raw: NDArray[Any], fill: int = 0) -> NDArray[Any]:
    """Place quarters by slices, without the code under test."""
    image = np.full(detector.config.image_shape, fill, detector.image_dtype)
    for module, (x0, y0, x1, y1) in detector.config.module_positions.items():
        if module in detector.config.deactivate:
            continue
        quarter = np.full((256, 514), fill, detector.image_dtype)
        quarter[:, :256], quarter[:, 258:] = raw[module, :, :256], raw[module, :, 256:]
        quarter = quarter[::-1] if y1 < y0 else quarter
        quarter = quarter[:, ::-1] if x1 < x0 else quarter
        image[min(y0, y1) : max(y0, y1) + 1, min(x0, x1) : max(x0, x1) + 1] = quarter
    return image


def converted(detector: Eiger, raw: NDArray[Any]) -> NDArray[Any]:
    converter = detector.converter()
    image = np.full(detector.config.image_shape, 77, detector.image_dtype)
    converter.fill_gaps(image)
    for module in range(detector.config.n_modules):
        sent = detector.packets(module, 5, raw[module], pulse_id=0, timestamp=9)
        assert sent.port == module
        frame, received = receive_frame(detector.packet_layout(module), [bytes(packet) for packet in sent.packets])
        converter.convert(module, frame, received, 0, image)
    return image


@pytest.mark.parametrize("bit_depth", [4, 8, 16, 32])
def test_packets_become_the_image(bit_depth: int) -> None:
    detector = Eiger(config(bit_depth))
    raw = next(iter(detector.simulated_frames("counter", seed=1)))
    np.testing.assert_array_equal(converted(detector, raw), expected_image(detector, raw))


def test_the_registry_opens_an_eiger() -> None:
    assert isinstance(open_detector(config()), Eiger)


@pytest.mark.parametrize(
    ("bit_depth", "n_units", "dtype"), [(4, 16, "u1"), (8, 32, "u1"), (16, 64, "u2"), (32, 128, "u4")]
)
def test_frames_have_the_published_sizes(bit_depth: int, n_units: int, dtype: str) -> None:
    detector = Eiger(config(bit_depth))
    layout = detector.packet_layout(0)
    assert layout.n_units == n_units
    assert layout.frame_bytes == 512 * 256 * bit_depth // 8
    assert layout.max_packet_bytes == 4144
    assert detector.image_dtype == np.dtype(dtype)


def test_seventy_two_ports_with_modules_that_are_off() -> None:
    detector = Eiger(nine_megapixels(deactivate=[62, 63, 66, 67], bit_depth=8))
    assert detector.n_ports == 72
    raw = next(iter(detector.simulated_frames("counter", seed=3)))
    np.testing.assert_array_equal(converted(detector, raw), expected_image(detector, raw))
    mask = detector.pixel_mask()
    assert (mask == 2).sum() == 4 * 512 * 256
    assert (mask == 1).sum() == mask.size - 72 * 512 * 256


positions = st.tuples(st.booleans(), st.booleans(), st.integers(0, 7), st.integers(0, 5))


@settings(max_examples=60, deadline=None)
@given(
    position=positions,
    bit_depth=st.sampled_from([4, 8, 12, 16, 32]),
    tengiga=st.booleans(),
    n_rows=st.sampled_from([256, 128, 64, 16]),
    bitmap=st.integers(0, 2**512 - 1),
    fill=st.integers(0, 15),
)
def test_every_pixel_that_arrived_is_right_and_no_other_is_touched(
    position: tuple[bool, bool, int, int], bit_depth: int, tengiga: bool, n_rows: int, bitmap: int, fill: int
) -> None:
    is_flipped_x, is_flipped_y, x, y = position
    x0, x1 = (x + 513, x) if is_flipped_x else (x, x + 513)
    y0, y1 = (y + 255, y) if is_flipped_y else (y, y + 255)
    detector = Eiger(
        config(
            bit_depth,
            n_modules=1,
            module_positions={0: (x0, y0, x1, y1)},
            image_pixel_height=262,
            image_pixel_width=522,
            assembler={"fill_value": fill},
            detector={"tengiga": tengiga, "readnrows": n_rows},
        )
    )
    layout = detector.packet_layout(0)
    raw = next(iter(detector.simulated_frames("counter", seed=bitmap % 1000)))
    sent = detector.packets(0, 1, raw[0], pulse_id=0, timestamp=0)
    arrived = [bytes(packet) for unit, packet in enumerate(sent.packets) if bitmap >> unit & 1]
    frame, received = receive_frame(layout, arrived)
    frame.flags.writeable = False

    image = np.full(detector.config.image_shape, 99, detector.image_dtype)
    converter = detector.converter()
    converter.convert(0, frame, received, 0, image)

    assert layout.unit_bytes == (4096 if tengiga else 1024)
    first_bits = bit_depth * np.arange(n_rows * 512).reshape(n_rows, 512)
    has_unit = np.array([bool(bitmap >> unit & 1) for unit in range(layout.n_units)])
    first_units, last_units = (bits // 8 // layout.unit_bytes for bits in (first_bits, first_bits + bit_depth - 1))
    raw = np.where(has_unit[first_units] & has_unit[last_units], raw, fill).astype(detector.image_dtype)
    expected = expected_image(detector, np.pad(raw, ((0, 0), (0, 256 - n_rows), (0, 0)), constant_values=99), fill=99)
    np.testing.assert_array_equal(image, expected)

    converter.fill_gaps(image)
    whole = np.pad(raw, ((0, 0), (0, 256 - n_rows), (0, 0)), constant_values=fill)
    np.testing.assert_array_equal(image, expected_image(detector, whole, fill=fill))
    unread = np.pad(np.zeros_like(raw), ((0, 0), (0, 256 - n_rows), (0, 0)), constant_values=2)
    is_masked = expected_image(detector, unread, fill=1) > 0
    np.testing.assert_array_equal(detector.pixel_mask() > 0, is_masked)
    converter.fill(0, image)
    assert (image == fill).all()


@pytest.mark.parametrize("is_compiled", [True, False])
@pytest.mark.parametrize(("y_step", "x_step"), [(1, 1), (-1, 1), (1, -1), (-1, -1)])
@pytest.mark.parametrize("bits", [4, 8, 12, 16, 32])
def test_kernels_agree_with_numpy_compiled_and_interpreted(
    is_compiled: bool, y_step: int, x_step: int, bits: int
) -> None:
    grid = ChipGrid(rows=8, columns=12, chip=4, gap=2)
    dtype = np.dtype(f"u{2 if bits == 12 else max(bits // 8, 1)}")
    raw = np.random.default_rng(bits).integers(0, 2**bits, (8, 12)).astype(dtype)
    kernel = {4: place_nibbles, 12: place_packed}.get(bits, place_chips)
    function = kernel if is_compiled else kernel.py_func
    source = packed_pixels(raw, bits).reshape(8, -1) if bits < 16 else raw
    unit = {4: (2,), 12: (36,)}.get(bits, (6, 0))  # each two rows
    height, width = grid.size
    at = Placement(1 if y_step > 0 else height, 1 if x_step > 0 else width, y_step, x_step, height, width)
    image = np.full((height + 2, width + 2), 5, dtype)
    received = np.array([0b1011], np.uint64)
    function(source, received, *unit, 4, 2, image, at.y_first, at.x_first, y_step, x_step, dtype.type(9))

    expected = np.full_like(image, 5)
    raw[4:6] = 9
    grid.place(raw, at.view(expected))
    np.testing.assert_array_equal(image, expected)


def test_simulated_frames_are_the_same_for_one_seed_and_fit_the_bit_depth() -> None:
    detector = Eiger(config(4))
    for pattern in detector.patterns:
        one, two = (list(itertools.islice(detector.simulated_frames(pattern, 7), 2)) for _ in range(2))
        np.testing.assert_array_equal(one, two)
        assert one[0].shape == (4, 256, 512)
        assert one[0].dtype == np.uint8
        assert one[0].max() <= 15


def test_counter_frames_differ_in_every_module_and_image() -> None:
    detector = Eiger(config(8))
    first, second = itertools.islice(detector.simulated_frames("counter", 0), 2)
    rows = np.concatenate([first, second]).reshape(-1, 512)
    assert len(np.unique(rows, axis=0)) == len(rows)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bit_depth": 24}, "key 'bit_depth': .*got 24.*give 4, 8, 12, 16 or 32"),
        ({"udp": {"numinterfaces": 2}}, "key 'udp.numinterfaces': .*have one UDP interface.*give 1"),
        ({"detector": {"readnrows": 102}}, "key 'detector.readnrows': .*4096 bytes.*give a multiple of 4"),
        ({"image_id": "pulse_id"}, "key 'image_id': EIGER packets carry no pulse id"),
        ({"detector": {"conversion": "kev"}}, "key 'detector.conversion': unknown key"),
        ({"assembler": {"fill_value": -1}}, "key 'assembler.fill_value': .*from 0 to 65535"),
        ({"assembler": {"fill_value": 0.5}}, "key 'assembler.fill_value'"),
        ({"module_positions": {}}, "modules without position: 0, 1, 2, 3"),
        ({"module_positions": MODULE | {3: (516, 255, 1028, 0)}}, "key 'module_positions.3': .*514 x 256"),
    ],
)
def test_a_wrong_configuration_is_refused_with_key_and_remedy(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        open_detector(config(**changes))


@pytest.fixture(scope="module")
def real_packets() -> dict[int, NDArray[np.void]]:
    if not REAL_EIGER.is_dir():
        pytest.skip(f"there is no {REAL_EIGER}; set STD_DAQ_SHARED_DATA")
    record = np.dtype([("length", "<u8"), ("datagram", "V4144")])
    return {port: np.fromfile(REAL_EIGER / f"{50032 + port}.dat", record)["datagram"] for port in range(4)}


def test_real_packets_become_the_published_images(real_packets: dict[int, NDArray[np.void]]) -> None:
    detector = Eiger(load_config(REAL_EIGER / "detector.json"))
    converter = detector.converter()
    layout = detector.packet_layout(0)
    for frame_number, sha256 in SHA256.items():
        image = np.full(detector.config.image_shape, 1, detector.image_dtype)
        converter.fill_gaps(image)
        for module in range(4):
            datagrams = [p.tobytes() for p in real_packets[module] if layout.key.read(p.tobytes()) == frame_number]
            frame, received = receive_frame(layout, datagrams)
            assert (received == np.uint64(2**64 - 1)).all()
            converter.convert(module, frame, received, 0, image)
        assert hashlib.sha256(image.tobytes()).hexdigest() == sha256


def test_identity_is_constant_on_a_real_port_and_differs_between_ports(
    real_packets: dict[int, NDArray[np.void]],
) -> None:
    identity = Eiger(config()).packet_layout(0).identity
    assert identity is not None
    seen = [{identity.read(packet.tobytes()) for packet in packets} for packets in real_packets.values()]
    assert all(len(identities) == 1 for identities in seen)
    assert len(set.union(*seen)) == 4
