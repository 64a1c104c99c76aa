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
    modules = range(detector.config.n_modules)
    assert {detector.module_of_port(port) for port in range(detector.n_ports)} == set(modules), "a module has no port"
    frame_bytes = {detector.packet_layout(module).frame_bytes for module in modules}
    assert len(frame_bytes) == 1, f"modules have frames of different sizes: {frame_bytes}"
    for module in modules:
        _check_layout(detector.packet_layout(module))
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
    shape = (detector.config.n_modules, *detector.raw_module_shape())
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
    for module in range(detector.config.n_modules):
        frame, received = _received_frame(detector, module, frame_number, raw[module])
        alone = _empty_image(detector)
        converter.convert(module, frame, received, 0, alone)
        _check_missing_units(detector, converter, module, frame, alone)
        area = _area(detector, converter, module)
        assert not (is_taken & area).any(), f"module {module} writes pixels of others or of gaps"
        assert (alone[~area] == _TOUCHED_NOT).all(), f"convert and fill of module {module} write different pixels"
        is_taken |= area
    assert is_taken.all(), "some pixels are written by no module and are no gap"


def _received_frame(
    detector: Detector, module: int, frame_number: int, raw: NDArray[Any]
) -> tuple[NDArray[np.uint8], NDArray[np.uint64]]:
    layout = detector.packet_layout(module)
    sent = detector.packets(module, frame_number, raw, pulse_id=7, timestamp=9)
    assert detector.module_of_port(sent.port) == module, f"module {module} sends to the port of another module"
    datagrams = [bytes(packet[:length]) for packet, length in zip(sent.packets, sent.lengths, strict=True)]
    assert max(map(len, datagrams)) <= layout.max_packet_bytes, "a packet is longer than max_packet_bytes"
    if layout.units_per_packet:
        assert len(datagrams) == layout.packets_per_frame, "a frame does not have packets_per_frame packets"
    assert {layout.key.read(datagram) for datagram in datagrams} == {frame_number}, "the key is not the frame number"
    if layout.identity is not None:
        assert len({layout.identity.read(datagram) for datagram in datagrams}) == 1, "the identity differs"
    frame, received = receive_frame(layout, datagrams)
    is_here = np.unpackbits(received.view(np.uint8), bitorder="little", count=layout.n_units)
    assert is_here.all(), f"the packets of module {module} do not carry all units"
    return frame, received


def _check_missing_units(
    detector: Detector, converter: FrameConverter, module: int, frame: NDArray[np.uint8], whole: NDArray[Any]
) -> None:
    """Convert a frame twice, with complementary units missing: each pixel must be right once and filled once."""
    filled = _empty_image(detector)
    converter.fill(module, filled)

    def image_of(bits: NDArray[np.bool_]) -> NDArray[Any]:
        image = _empty_image(detector)
        converter.convert(module, frame, np.packbits(bits, bitorder="little").view(np.uint64), 0, image)
        return image

    bits = np.arange(-(-detector.packet_layout(module).n_units // 64) * 64) % 3 != 0
    some, others, none = image_of(bits), image_of(~bits), image_of(np.zeros_like(bits))
    assert _equal(none, filled).all(), f"module {module} without any unit is not filled"
    is_right = _equal(some, whole) & _equal(others, filled) | _equal(others, whole) & _equal(some, filled)
    assert is_right.all(), f"some pixels of module {module} are wrong when other units are missing"


def _area(detector: Detector, converter: FrameConverter, module: int) -> NDArray[np.bool_]:
    image = _empty_image(detector)
    converter.fill(module, image)
    return ~_equal(image, _empty_image(detector))


def _empty_image(detector: Detector) -> NDArray[Any]:
    return np.full(detector.config.image_shape, _TOUCHED_NOT, detector.image_dtype)


def _equal(first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.bool_]:
    is_equal: NDArray[np.bool_] = (first == second) | ((first != first) & (second != second))
    return is_equal
