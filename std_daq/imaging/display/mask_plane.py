"""MaskPlane: for each pixel of an image, whether its value is to be shown, or why not."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.imaging.buffers.image import Image
from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.detectors.fill_value import fill_value
from std_daq.imaging.detectors.interface import Detector
from std_daq.imaging.detectors.module_map import Placement
from std_daq.imaging.detectors.pixel_mask import MaskBit
from std_daq.imaging.display.kernels import MASKED, MISSING
from std_daq.imaging.protocols.image_metadata import ImageStatus

_WITHOUT_PIXELS = ImageStatus.MISSING_MODULES | ImageStatus.NOT_CALIBRATED


class MaskPlane:
    """Knows which pixels of a detector are masked, and finds those that are missing in an image.

    Of a module that is missing, all pixels are. Of a module with missing packets, the ring does not tell which pixels
    are. Floats that did not arrive are NaN, which the reduction sees itself. Of integers, the rows are taken as missing
    that hold nothing but the value of pixels that did not arrive.

    Parameters
    ----------
    config
        Configuration of the detector.
    detector
        Detector that it describes.

    Attributes
    ----------
    pixel_mask
        The NXmx pixel mask, (height, width).
    """

    def __init__(self, config: DetectorConfig, detector: Detector) -> None:
        self.pixel_mask = np.ascontiguousarray(detector.pixel_mask(), np.uint32)
        is_masked = self.pixel_mask & ~np.uint32(MaskBit.VIRTUAL) != 0
        self._plane: NDArray[np.uint8] = is_masked.astype(np.uint8) * np.uint8(MASKED)
        self._plane.flags.writeable = False
        self._places = _places(config)
        self._fill: Any = fill_value(config, detector.image_dtype)

    def of(self, image: Image) -> NDArray[np.uint8]:
        """Return MISSING, MASKED or 0 for each pixel of an image, (height, width); it must not be changed."""
        if not image.status & (_WITHOUT_PIXELS | ImageStatus.MISSING_PACKETS):
            return self._plane
        plane = self._plane.copy()
        for place, entry in zip(self._places, image.modules, strict=False):
            status = int(entry["status"])
            if status & int(_WITHOUT_PIXELS):
                _mark(place.view(plane))
            elif entry["missing_packets"] and image.pixels.dtype.kind != "f":
                rows = (place.view(image.pixels) == self._fill).all(axis=1)
                of_module = place.view(plane)
                of_module[rows] = np.where(of_module[rows] == 0, MISSING, of_module[rows])
        return plane


def _mark(plane: NDArray[np.uint8]) -> None:
    plane[plane == 0] = MISSING


def _places(config: DetectorConfig) -> list[Placement]:
    height, width = config.image_shape
    positions = config.module_positions or {0: (0, 0, width - 1, height - 1)}
    return [Placement.from_position(positions[module]) for module in sorted(positions)]
