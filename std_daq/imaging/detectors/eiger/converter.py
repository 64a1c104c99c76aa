"""EigerConverter: places quarter modules into the image, and unpacks pixels of 4 and 12 bits."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.detectors.eiger.geometry import QUARTER
from std_daq.imaging.detectors.eiger.kernels import place_nibbles, place_packed
from std_daq.imaging.detectors.eiger.options import EigerOptions
from std_daq.imaging.detectors.eiger.packets import payload_bytes
from std_daq.imaging.detectors.interface import CalibrationFile
from std_daq.imaging.detectors.kernels import place_chips
from std_daq.imaging.detectors.module_map import Placement


class EigerConverter:
    """Converter that places quarter modules; see `std_daq.imaging.detectors.interface.FrameConverter`.

    Parameters
    ----------
    config
        Configuration of the detector, whose bit depth has been checked.
    options
        Options of the detector, whose number of rows has been checked.
    placements
        Placement of each quarter in the image.
    image_dtype
        Type of a pixel in the image.
    fill_value
        Value of pixels that did not arrive.
    """

    calibration: tuple[CalibrationFile, ...] = ()

    def __init__(
        self,
        config: DetectorConfig,
        options: EigerOptions,
        placements: Sequence[Placement],
        image_dtype: np.dtype[Any],
        fill_value: Any,
    ) -> None:
        self._placements = placements
        self._deactivated = frozenset(config.deactivate)
        self._fill = fill_value
        self._n_rows = options.readnrows
        self._gaps = np.ones(config.image_shape, np.bool_)
        for placement in placements:
            QUARTER.fill(placement.view(self._gaps), False, end=self._n_rows)
        unit_bytes = payload_bytes(tengiga=options.tengiga)
        pixels_per_unit = unit_bytes * 8 // config.bit_depth
        # Pixels of 4 and 12 bits are still packed here.
        self._raw_dtype = image_dtype if config.bit_depth != 12 else np.dtype(np.uint8)
        self._place: Callable[..., None]
        self._unit: tuple[int, ...]
        if config.bit_depth == 4:
            self._place, self._unit = place_nibbles, (pixels_per_unit // QUARTER.columns,)
            place_nibbles.compile()
        elif config.bit_depth == 12:
            self._place, self._unit = place_packed, (unit_bytes,)
            place_packed.compile()
        else:
            self._place, self._unit = place_chips, (pixels_per_unit // QUARTER.chip, 0)
            place_chips.compile(image_dtype.name)

    def convert(
        self,
        module: int,
        frame: NDArray[np.uint8],
        received: NDArray[np.uint64],
        daq_rec: int,  # noqa: ARG002 - EIGER has none
        image: NDArray[Any],
    ) -> bool:
        """Write one quarter's pixels into the image; return True, because an EIGER needs no calibration."""
        if module in self._deactivated:
            self.fill(module, image)
            return True
        at = self._placements[module]
        pixels = frame.view(self._raw_dtype).reshape(self._n_rows, -1)
        self._place(
            pixels,
            received,
            *self._unit,
            QUARTER.chip,
            QUARTER.gap,
            image,
            at.y_first,
            at.x_first,
            at.y_step,
            at.x_step,
            self._fill,
        )
        return True

    def fill(self, module: int, image: NDArray[Any]) -> None:
        """Write the fill value to all pixels of a quarter that are read."""
        QUARTER.fill(self._placements[module].view(image), self._fill, end=self._n_rows)

    def fill_gaps(self, image: NDArray[Any]) -> None:
        """Write the fill value to pixels that belong to no quarter, lie between chips, or are not read."""
        image[self._gaps] = self._fill

    def reload(self) -> None:
        """Return None, because an EIGER has no calibration files."""
