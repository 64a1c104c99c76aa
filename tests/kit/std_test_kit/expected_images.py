"""What the images of a simulated or lossy detector have to be, worked out packet by packet in plain Python."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.imaging.detectors.interface import Detector, FrameConverter
from std_daq.imaging.detectors.reference_receiver import datagrams_of, receive_frame


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
    for module in range(config.n_submodules):
        if module // config.udp.numinterfaces in config.deactivate:
            converter.fill(module, image)
            continue
        frame = detector.packets(module, frame_number, raw[module], pulse_id=frame_number, timestamp=0)
        data, received = receive_frame(detector.packet_layout(module), datagrams_of(frame, lost.get(module, ())))
        converter.convert(module, data, received, 0, image)
    return image
