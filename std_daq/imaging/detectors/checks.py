"""Checks that every detector class must pass, for the tests of std-daq's detectors and of those that a site adds."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.imaging.detectors.interface import Detector, FrameConverter
from std_daq.imaging.detectors.packet_layout import HeaderField, PacketLayout
from std_daq.imaging.detectors.reference_receiver import receive_frame

_WORD = 8
_TOUCHED_NOT = 77


def check_detector(detector: Detector) -> None:
    """Check that packets, layout, converter, mask and simulation of a detector fit together.

    This check does not work for a converter that spreads values over neighbouring pixels.

    Raises
    ------
    AssertionError
        Something does not fit; the message says what.
    """
    submodules = range(detector.config.n_submodules)
    with_port = {detector.submodule_of_port(port) for port in range(detector.n_ports)}
    assert with_port == set(submodules), "a submodule has no port"
    frame_bytes = {detector.packet_layout(submodule).frame_bytes for submodule in submodules}
    assert len(frame_bytes) == 1, f"submodules have frames of different sizes: {frame_bytes}"
    for submodule in submodules:
        _check_layout(detector.packet_layout(submodule))
    _check_simulation(detector)
    mask = detector.pixel_mask()
    assert (mask.shape, mask.dtype) == (detector.config.image_shape, np.dtype(np.uint32)), (
        "pixel_mask is not a uint32 image"
    )
    raw = next(iter(detector.simulated_frames(detector.patterns[0], seed=5)))
    for frame_number in (1, 2):
        _check_conversion(detector, frame_number, raw)


def _check_layout(layout: PacketLayout) -> None:
    for name, field in _fields(layout):
        assert field.offset + field.width <= layout.header_bytes, f"{name} is not within the header"
        assert field.offset % _WORD + field.width <= _WORD, f"{name} crosses the border of two 64-bit words"
    assert layout.units_per_packet <= layout.max_units_per_packet, "units_per_packet exceeds max_units_per_packet"
    assert layout.max_padding_bytes < layout.unit_bytes, "padding must be shorter than a unit"


def _fields(layout: PacketLayout) -> Iterator[tuple[str, HeaderField]]:
    names = [
        *("key", "unit", "image_id", "pulse_id", "timestamp", "exposure_length", "daq_rec", "storage_cell"),
        *("module_id", "row", "column", "identity"),
    ]
    for name in names:
        field = getattr(layout, name)
        if field is not None:
            yield name, field
    yield from (("a check", check.field) for check in layout.checks)


def _check_simulation(detector: Detector) -> None:
    shape = (detector.config.n_submodules, *detector.raw_frame_shape())
    assert detector.patterns, "there is no pattern to simulate"
    for pattern in detector.patterns:
        raw = next(iter(detector.simulated_frames(pattern, seed=5)))
        assert raw.shape == shape, f"pattern {pattern} has the shape {raw.shape}, not {shape}"
        assert raw.dtype.kind == "u", f"pattern {pattern} has pixels of type {raw.dtype}"


def _check_conversion(detector: Detector, frame_number: int, raw: NDArray[Any]) -> None:
    converter = detector.converter()
    image = _empty_image(detector)
    converter.fill_gaps(image)
    is_taken = image != _TOUCHED_NOT
    for submodule in range(detector.config.n_submodules):
        frame, received = _received_frame(detector, submodule, frame_number, raw[submodule])
        alone = _empty_image(detector)
        is_calibrated = converter.convert(submodule, frame, received, 0, alone)
        assert is_calibrated is True, f"convert says that there is no calibration for submodule {submodule}"
        _check_missing_units(detector, converter, submodule, frame, alone)
        area = _area(detector, converter, submodule)
        assert not (is_taken & area).any(), f"submodule {submodule} writes pixels of others or of gaps"
        assert (alone[~area] == _TOUCHED_NOT).all(), f"convert and fill of submodule {submodule} write different pixels"
        is_taken |= area
    assert is_taken.all(), "some pixels are written by no module and are no gap"


def _received_frame(
    detector: Detector, submodule: int, frame_number: int, raw: NDArray[Any]
) -> tuple[NDArray[np.uint8], NDArray[np.uint64]]:
    layout = detector.packet_layout(submodule)
    sent = detector.packets(submodule, frame_number, raw, pulse_id=7, timestamp=9)
    assert detector.submodule_of_port(sent.port) == submodule, f"submodule {submodule} sends to the port of another one"
    datagrams = [bytes(packet[:length]) for packet, length in zip(sent.packets, sent.lengths, strict=True)]
    assert max(map(len, datagrams)) <= layout.max_packet_bytes, "a packet is longer than max_packet_bytes"
    if layout.units_per_packet:
        assert len(datagrams) == layout.packets_per_frame, "a frame does not have packets_per_frame packets"
    assert {layout.key.read(datagram) for datagram in datagrams} == {frame_number}, "the key is not the frame number"
    if layout.identity is not None:
        assert len({layout.identity.read(datagram) for datagram in datagrams}) == 1, "the identity differs"
    frame, received = receive_frame(layout, datagrams)
    is_here = np.unpackbits(received.view(np.uint8), bitorder="little", count=layout.n_units)
    assert is_here.all(), f"the packets of submodule {submodule} do not carry all units"
    return frame, received


def _check_missing_units(
    detector: Detector, converter: FrameConverter, submodule: int, frame: NDArray[np.uint8], whole: NDArray[Any]
) -> None:
    """Convert a frame twice, with complementary units missing: each pixel must be right once and filled once."""
    filled = _empty_image(detector)
    converter.fill(submodule, filled)

    def image_of(bits: NDArray[np.bool_]) -> NDArray[Any]:
        image = _empty_image(detector)
        converter.convert(submodule, frame, np.packbits(bits, bitorder="little").view(np.uint64), 0, image)
        return image

    bits = np.arange(-(-detector.packet_layout(submodule).n_units // 64) * 64) % 3 != 0
    some, others, none = image_of(bits), image_of(~bits), image_of(np.zeros_like(bits))
    assert _equal(none, filled).all(), f"submodule {submodule} without any unit is not filled"
    is_right = _equal(some, whole) & _equal(others, filled) | _equal(others, whole) & _equal(some, filled)
    n_units = detector.packet_layout(submodule).n_units
    if int(np.prod(detector.raw_frame_shape())) % n_units:  # then a pixel may lie in two units
        is_cut = _equal(some, filled) & _equal(others, filled) & ~is_right
        assert is_cut.sum() < n_units, f"too many pixels of submodule {submodule} are filled"
        is_right |= is_cut
    assert is_right.all(), f"some pixels of submodule {submodule} are wrong when other units are missing"


def _area(detector: Detector, converter: FrameConverter, submodule: int) -> NDArray[np.bool_]:
    image = _empty_image(detector)
    converter.fill(submodule, image)
    return ~_equal(image, _empty_image(detector))


def _empty_image(detector: Detector) -> NDArray[Any]:
    return np.full(detector.config.image_shape, _TOUCHED_NOT, detector.image_dtype)


def _equal(first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.bool_]:
    is_equal: NDArray[np.bool_] = (first == second) | ((first != first) & (second != second))
    return is_equal
