"""EigerConverter: places quarter modules into the image, and unpacks pixels of 4 bits."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.detectors.eiger.geometry import QUARTER
from std_daq.imaging.detectors.eiger.kernels import place_nibbles
from std_daq.imaging.detectors.eiger.packets import PAYLOAD_BYTES
from std_daq.imaging.detectors.interface import CalibrationFile
from std_daq.imaging.detectors.kernels import place_chips
from std_daq.imaging.detectors.module_map import Placement
from std_daq.imaging.detectors.pixel_mask import gap_pixels


class EigerConverter:
    """Converter that places quarter modules; see `std_daq.imaging.detectors.interface.FrameConverter`.

    Parameters
    ----------
    config
        Configuration of the detector, whose bit depth has been checked.
    placements
        Placement of each quarter in the image.
    image_dtype
        Type of a pixel in the image.
    fill_value
        Value of pixels that did not arrive.
    """

    calibration: tuple[CalibrationFile, ...] = ()

    def __init__(
        self, config: DetectorConfig, placements: Sequence[Placement], image_dtype: np.dtype[Any], fill_value: Any
    ) -> None:
        self._placements = placements
        self._deactivated = frozenset(config.deactivate)
        self._fill = fill_value
        self._gaps = gap_pixels(config.image_shape, placements, QUARTER)
        if config.bit_depth == 4:
            self._place = place_nibbles
            place_nibbles.compile()
        else:
            self._place = place_chips
            place_chips.compile(image_dtype.name)
        # 4-bit pixels stay packed here: a row has half as many bytes as columns.
        self._raw_dtype = image_dtype
        self._rows_per_unit = PAYLOAD_BYTES * 8 // (QUARTER.columns * config.bit_depth)

    def convert(
        self,
        module: int,
        frame: NDArray[np.uint8],
        received: NDArray[np.uint64],
        daq_rec: int,  # noqa: ARG002 - EIGER has none
        image: NDArray[Any],
    ) -> None:
        """Write one quarter's pixels into the image."""
        if module in self._deactivated:
            self.fill(module, image)
            return
        at = self._placements[module]
        pixels = frame.view(self._raw_dtype).reshape(QUARTER.rows, -1)
        self._place(
            pixels,
            received,
            self._rows_per_unit,
            QUARTER.chip,
            QUARTER.gap,
            image,
            at.y_first,
            at.x_first,
            at.y_step,
            at.x_step,
            self._fill,
        )

    def fill(self, module: int, image: NDArray[Any]) -> None:
        """Write the fill value to all pixels of a quarter."""
        QUARTER.fill(self._placements[module].view(image), self._fill)

    def fill_gaps(self, image: NDArray[Any]) -> None:
        """Write the fill value to the pixels that belong to no quarter or lie between chips."""
        image[self._gaps] = self._fill

    def reload(self) -> None:
        """Return None, because an EIGER has no calibration files."""
