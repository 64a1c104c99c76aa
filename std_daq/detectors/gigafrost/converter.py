"""GigafrostConverter: packed rows unpacked into the image."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from std_daq.detectors.gigafrost.kernels import unpack_rows
from std_daq.detectors.interface import CalibrationFile

if TYPE_CHECKING:
    from std_daq.detectors.gigafrost.detector import Gigafrost


class GigafrostConverter:
    """Unpacks and places rows; see `std_daq.detectors.interface.FrameConverter`.

    Parameters
    ----------
    detector
        The GIGAFROST.
    """

    calibration: tuple[CalibrationFile, ...] = ()

    def __init__(self, detector: "Gigafrost") -> None:
        self._places = detector.places
        self._deactivated = frozenset(detector.config.deactivate)
        self._fill = detector.fill_value

    def convert(
        self,
        module: int,
        frame: NDArray[np.uint8],
        received: NDArray[np.uint64],
        daq_rec: int,  # noqa: ARG002 - pixels do not depend on it
        image: NDArray[Any],
    ) -> None:
        """Write one module's rows into the image."""
        if module in self._deactivated:
            self.fill(module, image)
            return
        at = self._places[module]
        unpack_rows(frame.reshape(at.height, -1), received, image, at.y_first, at.y_step, at.left, self._fill)

    def fill(self, module: int, image: NDArray[Any]) -> None:
        """Write the fill value to all rows of a module."""
        self._places[module].view(image)[:] = self._fill

    def fill_gaps(self, image: NDArray[Any]) -> None:
        """Do nothing: every pixel belongs to a module."""

    def reload(self) -> None:
        """Return None: there are no files."""
