"""TileConverter: modules placed into the image, counts limited."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.imaging.detectors.interface import CalibrationFile
from std_daq.imaging.detectors.kernels import place_chips
from std_daq.imaging.detectors.module_map import Placement
from std_daq.imaging.detectors.pixel_mask import gap_pixels
from std_daq_tile.packets import COLUMNS, MODULE, ROWS


class TileConverter:
    """Places modules; see `std_daq.imaging.detectors.interface.FrameConverter`.

    Parameters
    ----------
    placements
        Where the modules lie in the image.
    shape
        Height and width of the image.
    max_counts
        Larger pixels are set to this.
    fill
        Value of pixels that did not arrive.
    """

    calibration: tuple[CalibrationFile, ...] = ()

    def __init__(
        self, placements: Sequence[Placement], shape: tuple[int, int], max_counts: int, fill: np.uint16
    ) -> None:
        self._placements = placements
        self._max_counts = np.uint16(max_counts)
        self._fill = fill
        self._gaps = gap_pixels(shape, placements, MODULE)
        place_chips.compile("uint16")  # now, not as the first image comes

    def convert(
        self,
        module: int,
        frame: NDArray[np.uint8],
        received: NDArray[np.uint64],
        daq_rec: int,  # noqa: ARG002 - TILE has none
        image: NDArray[Any],
    ) -> bool:
        """Write one module's pixels into the image; return True, because a TILE needs no calibration."""
        at = self._placements[module]
        pixels = np.minimum(frame.view("<u2").reshape(ROWS, COLUMNS), self._max_counts)
        first_row, chips_per_unit = 0, COLUMNS // MODULE.chip
        place_chips(
            pixels,
            received,
            chips_per_unit,
            first_row,
            MODULE.chip,
            MODULE.gap,
            image,
            at.y_first,
            at.x_first,
            at.y_step,
            at.x_step,
            self._fill,
        )
        return True

    def fill(self, module: int, image: NDArray[Any]) -> None:
        """Write the fill value to all pixels of a module."""
        self._placements[module].view(image)[:] = self._fill

    def fill_gaps(self, image: NDArray[Any]) -> None:
        """Write the fill value to the pixels of no module."""
        image[self._gaps] = self._fill

    def reload(self) -> None:
        """Return None: there are no calibration files."""
