"""JUNGFRAU modules with two UDP interfaces, and modules of which only some rows are read."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from std_daq.errors import ConfigError
from std_daq.imaging.config import DetectorConfig, parse_config
from std_daq.imaging.detectors.checks import check_detector
from std_daq.imaging.detectors.jungfrau import Jungfrau
from std_daq.imaging.detectors.reference_receiver import receive_frame
from std_daq.imaging.detectors.registry import open_detector

N_MODULES = 2


def config(n_interfaces: int = 2, n_rows: int = 512, *, gap: int = 2, **changes: Any) -> DetectorConfig:
    height, width = 512 + gap, 1024 + 3 * gap
    values: dict[str, Any] = {
        "detector_name": "JF",
        "detector_type": "jungfrau",
        "n_modules": N_MODULES,
        "bit_depth": 16,
        "image_pixel_height": N_MODULES * height,
        "image_pixel_width": width,
        "start_udp_port": 50000,
        "module_positions": {"0": (0, height - 1, width - 1, 0), "1": (0, height, width - 1, 2 * height - 1)},
        "udp": {"numinterfaces": n_interfaces},
    }
    return parse_config(values | changes | {"detector": {"readnrows": n_rows} | changes.get("detector", {})})


def send_by_the_manual(whole: NDArray[Any], module: int, n_interfaces: int, n_rows: int) -> dict[int, list[bytes]]:
    """Return the packets of each port for a module (512, 1024), as slsDetectorPackage numbers them."""
    packets: dict[int, list[bytes]] = {port: [] for port in range(n_interfaces)}
    for packet in range(64 - n_rows // 8, 64 + n_rows // 8):
        port, number = divmod(packet, 128 // n_interfaces)
        header = bytearray(48)
        header[0:8] = (5).to_bytes(8, "little")
        header[12:16] = number.to_bytes(4, "little")
        header[32:36] = bytes([module, 0, 2 * module + port, 0])
        header[46:48] = bytes([3, 2])
        packets[port].append(bytes(header) + whole[4 * packet : 4 * packet + 4].astype("<u2").tobytes())
    return packets


def image_of(detector: Jungfrau, whole: NDArray[Any], lost: set[tuple[int, int]] | None = None) -> NDArray[Any]:
    """Receive and convert what the modules send, except lost (port of the detector, packet in the order of sending)."""
    n_interfaces, n_rows = detector.config.udp.numinterfaces, detector.options.readnrows
    image = np.full(detector.config.image_shape, 99, detector.image_dtype)
    converter = detector.converter()
    converter.fill_gaps(image)
    for module in range(N_MODULES):
        for interface, datagrams in send_by_the_manual(whole[module], module, n_interfaces, n_rows).items():
            port = module * n_interfaces + interface
            came = [one for number, one in enumerate(datagrams) if (port, number) not in (lost or set())]
            submodule = detector.submodule_of_port(port)
            frame, received = receive_frame(detector.packet_layout(submodule), came)
            converter.convert(submodule, frame, received, 0, image)
    return image


def read_rows(values: NDArray[Any], n_rows: int, fill: Any) -> NDArray[Any]:
    """Return modules (n_modules, 512, 1024) in which the rows that are not read have the fill value."""
    values = values.copy()
    n_unread = (512 - n_rows) // 2
    values[:, :n_unread] = values[:, 512 - n_unread :] = fill
    return values


def placed(detector: Jungfrau, values: NDArray[Any], fill: Any) -> NDArray[Any]:
    image = np.full(detector.config.image_shape, fill, values.dtype)
    for module, placement in enumerate(detector.placements):
        detector.grid.place(values[module], placement.view(image))
    return image


def raw_of(seed: int) -> NDArray[np.uint16]:
    return np.random.default_rng(seed).integers(1, 2**16, (N_MODULES, 512, 1024)).astype(np.uint16)


@settings(max_examples=20, deadline=None)
@given(
    n_interfaces=st.sampled_from([1, 2]),
    n_rows=st.integers(1, 64).map(lambda n: 8 * n),
    gap=st.sampled_from([0, 2]),
    seed=st.integers(0, 100),
)
def test_each_row_that_is_read_is_in_its_place_and_lost_packets_leave_the_fill_value(
    n_interfaces: int, n_rows: int, gap: int, seed: int
) -> None:
    detector = open_detector(config(n_interfaces, n_rows, gap=gap))
    raw = raw_of(seed)
    rng = np.random.default_rng(seed)
    first = 64 - n_rows // 8
    n_packets = n_rows // 4 // n_interfaces
    lost = {(int(rng.integers(0, detector.n_ports)), int(rng.integers(0, n_packets))) for _ in range(5)}
    expected = read_rows(raw, n_rows, 0)
    for port, packet in lost:
        module, interface = divmod(port, n_interfaces)
        of_module = (first if interface == 0 else 64) + packet
        expected[module, 4 * of_module : 4 * of_module + 4] = 0
    np.testing.assert_array_equal(image_of(detector, raw, lost), placed(detector, expected, np.uint16(0)))


@pytest.mark.parametrize("n_interfaces", [1, 2])
@pytest.mark.parametrize("n_rows", [8, 64, 512])
@pytest.mark.parametrize("double_pixels", ["keep", "copy", "share"])
def test_energies_are_those_of_whole_modules(
    n_interfaces: int, n_rows: int, double_pixels: str, correcting: dict[str, Any]
) -> None:
    options = correcting | {"double_pixels": double_pixels}
    raw = raw_of(3)
    whole = image_of(open_detector(config(1, detector=options)), raw)
    detector = open_detector(config(n_interfaces, n_rows, detector=options | {"readnrows": n_rows}))
    is_read = placed(detector, read_rows(np.ones(raw.shape, np.uint8), n_rows, 0), np.uint8(double_pixels != "keep"))
    if double_pixels != "keep":  # gap pixels beside rows that are not read
        for placement in detector.placements:
            n_unread = (512 - n_rows) // 2
            view = placement.view(is_read)
            view[:n_unread] = view[514 - n_unread :] = 0
    np.testing.assert_array_equal(image_of(detector, raw), np.where(is_read, whole, np.float32(np.nan)))


def test_an_interface_that_is_silent_leaves_its_half_to_the_other(correcting: dict[str, Any]) -> None:
    detector = open_detector(config(detector=correcting | {"double_pixels": "copy"}))
    raw = raw_of(4)
    whole = image_of(detector, raw)
    image = whole.copy()
    detector.converter().fill(2, image)  # rows 0 to 255 of module 1, and the gap row that repeats row 255
    assert np.isnan(image[514 : 514 + 257]).all()
    np.testing.assert_array_equal(image[514 + 257 :], whole[514 + 257 :])
    np.testing.assert_array_equal(image[:514], whole[:514])


def test_rows_that_are_not_read_are_dead_in_the_mask() -> None:
    mask = open_detector(config(2, 64)).pixel_mask()
    assert (mask[:224, :256] == 2).all()
    assert (mask[224:256, :256] == 0).all()
    assert (mask[256:258] == 1).all()
    assert (mask == 2).sum() == N_MODULES * (512 - 64) * 1024


@pytest.mark.long
@pytest.mark.parametrize("n_interfaces", [1, 2])
@pytest.mark.parametrize("n_rows", [64, 512])
def test_the_detector_does_what_every_detector_does(n_interfaces: int, n_rows: int) -> None:
    check_detector(open_detector(config(n_interfaces, n_rows)))


def test_the_simulator_sends_what_the_manual_says() -> None:
    detector = open_detector(config(2, 64))
    raw = raw_of(5)
    halves = [raw[0, 224:256], raw[0, 256:288], raw[1, 224:256], raw[1, 256:288]]
    for port, half in enumerate(halves):
        sent = detector.packets(port, 5, half, pulse_id=0, timestamp=0)
        by_the_manual = send_by_the_manual(raw[port // 2], port // 2, 2, 64)[port % 2]
        assert sent.port == port
        assert [bytes(packet) for packet in sent.packets] == by_the_manual


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"detector": {"readnrows": 60}}, "key 'detector.readnrows'"),
        ({"detector": {"readnrows": 520}}, "key 'detector.readnrows'"),
        ({"udp": {"numinterfaces": 3}}, "key 'udp.numinterfaces'"),
    ],
)
def test_a_mode_that_the_detector_does_not_have_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        open_detector(config(**changes))


@pytest.mark.parametrize("n_rows", [64, 512])
def test_a_pedestal_run_puts_halves_and_rows_where_they_belong(n_rows: int, tmp_path: Path) -> None:
    detector = open_detector(config(2, n_rows, deactivate=[1]))
    assert isinstance(detector, Jungfrau)
    run = detector.pedestal_run(n_skipped=0)
    rng = np.random.default_rng(0)
    level = rng.integers(1000, 3000, (512, 1024))
    first, end = (512 - n_rows) // 2, (512 + n_rows) // 2
    for stage, code in enumerate((0, 1, 3)):
        for _ in range(4):
            dark = (level + 1000 * stage + rng.integers(-2, 3, level.shape) | code << 14).astype("<u2")
            run.add(0, dark[first:256].reshape(-1).view(np.uint8), 0)
            run.add(1, dark[256:end].reshape(-1).view(np.uint8), 0)
    assert run.n_frames["gain 0"] == 4
    run.write(tmp_path / "pedestal.h5", attributes={}, overwrite=False)
    with h5py.File(tmp_path / "pedestal.h5") as file:
        means, mask = file["gains"][:], file["pixel_mask"][:]
    assert means.shape == (3, N_MODULES * 512, 1024)
    for stage in range(3):
        assert np.abs(means[stage, first:end] - level[first:end] - 1000 * stage).max() <= 2
    is_dead = np.ones(len(mask), bool)
    is_dead[first:end] = False
    assert (mask[is_dead] == 2).all()
    assert not (mask[~is_dead] == 2).all(axis=1).any()
