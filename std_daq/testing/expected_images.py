"""What the images of a simulated or lossy detector have to be, worked out packet by packet in plain Python."""

from collections.abc import Container
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.detectors.interface import Detector, FrameConverter, SimulatedFrame


def place_packets(
    detector: Detector, module: int, frame: SimulatedFrame, lost: Container[int] = ()
) -> tuple[NDArray[np.uint8], NDArray[np.uint64]]:
    """Place the packets of a frame; returns its bytes, zero where nothing came, and the bitmap of its units."""
    layout = detector.packet_layout(module)
    data = np.zeros(layout.frame_bytes, np.uint8)
    received = np.zeros(-(-layout.n_units // 64), np.uint64)
    for number, (packet, length) in enumerate(zip(frame.packets, frame.lengths, strict=True)):
        if number in lost:
            continue
        unit = layout.unit.read(packet.tobytes())
        n_units = (int(length) - layout.header_bytes) // layout.unit_bytes
        n_bytes = n_units * layout.unit_bytes
        place = unit * layout.unit_bytes
        data[place : place + n_bytes] = packet[layout.header_bytes : layout.header_bytes + n_bytes]
        for arrived in range(unit, unit + n_units):
            received[arrived // 64] |= np.uint64(1 << arrived % 64)
    return data, received


def expected_image(
    detector: Detector,
    converter: FrameConverter,
    raw: NDArray[Any],
    frame_number: int,
    lost: dict[int, set[int]],
) -> NDArray[Any]:
    """Return an image as it has to be.

    Parameters
    ----------
    detector, converter
        The detector; its conversion has tests of its own.
    raw
        Raw pixels of all modules, (n_modules, rows, columns).
    frame_number
        Of the exposure.
    lost
        For modules, the packets that did not arrive.
    """
    config = detector.config
    image = np.empty(config.image_shape, detector.image_dtype)
    converter.fill_gaps(image)
    for module in range(config.n_modules):
        if module in config.deactivate:
            converter.fill(module, image)
            continue
        frame = detector.packets(module, frame_number, raw[module], pulse_id=frame_number, timestamp=0)
        data, received = place_packets(detector, module, frame, lost.get(module, set()))
        converter.convert(module, data, received, 0, image)
    return image
