"""GigafrostConverter: unpacks rows of pixels into the image."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.imaging.detectors.gigafrost.geometry import LinkRows
from std_daq.imaging.detectors.gigafrost.kernels import unpack_rows
from std_daq.imaging.detectors.interface import CalibrationFile


class GigafrostConverter:
    """Converter that unpacks and places rows; see `std_daq.imaging.detectors.interface.FrameConverter`.

    Parameters
    ----------
    places
        Place of each module's rows in the image.
    deactivated
        Modules that are off.
    fill_value
        Value of pixels that did not arrive.
    """

    calibration: tuple[CalibrationFile, ...] = ()

    def __init__(self, places: Sequence[LinkRows], deactivated: Iterable[int], fill_value: Any) -> None:
        self._places = places
        self._deactivated = frozenset(deactivated)
        self._fill = fill_value
        unpack_rows.compile()

    def convert(
        self,
        module: int,
        frame: NDArray[np.uint8],
        received: NDArray[np.uint64],
        daq_rec: int,  # noqa: ARG002 - pixels do not depend on it
        image: NDArray[Any],
    ) -> bool:
        """Write one module's rows into the image; return True, because a GIGAFROST needs no calibration."""
        if module in self._deactivated:
            self.fill(module, image)
            return True
        at = self._places[module]
        unpack_rows(frame.reshape(at.height, -1), received, image, at.y_first, at.y_step, at.left, self._fill)
        return True

    def fill(self, module: int, image: NDArray[Any]) -> None:
        """Write the fill value to all rows of a module."""
        self._places[module].view(image)[:] = self._fill

    def fill_gaps(self, image: NDArray[Any]) -> None:
        """Do nothing: every pixel belongs to a module."""

    def reload(self) -> None:
        """Return None, because a GIGAFROST has no calibration files."""
