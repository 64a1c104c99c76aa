"""BoardConverter: turns the pixels of a board, and places them into the image."""

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.imaging.detectors.interface import CalibrationFile
from std_daq.telescope.boards.options import Orientation
from std_daq.telescope.boards.orientation import PLACES, QUARTER_TURNS
from std_daq.telescope.boards.packets import EDGE, N_QUARTERS
from std_daq.telescope.pff.product import Product

_QUARTER_SHIFT = 32  # of the recording word, which is the first eight bytes of the header


class BoardConverter:
    """Converter that places boards; see `std_daq.imaging.detectors.interface.FrameConverter`.

    Parameters
    ----------
    product
        The product.
    orientation
        How the boards are turned.
    deactivated
        Quarters that are off.
    fill_value
        Value of pixels that did not arrive.
    """

    calibration: tuple[CalibrationFile, ...] = ()

    def __init__(
        self, product: Product, orientation: Orientation, deactivated: Collection[int], fill_value: Any
    ) -> None:
        self._dtype = product.dtype
        self._has_quarters = bool(product.quabos)
        self._turns = QUARTER_TURNS[orientation]
        self._deactivated = frozenset(deactivated)
        self._fill = fill_value

    def convert(
        self,
        board: int,
        frame: NDArray[np.uint8],
        received: NDArray[np.uint64],  # noqa: ARG002 - a frame is one packet, and is there or not
        daq_rec: int,
        image: NDArray[Any],
    ) -> bool:
        """Write a board's pixels into the image; return True, because the boards subtract the baselines themselves."""
        if board in self._deactivated:
            self.fill(board, image)
            return True
        quarter = (daq_rec >> _QUARTER_SHIFT) % N_QUARTERS
        pixels = frame.view(self._dtype).reshape(EDGE, EDGE)
        self._place(board, image)[:] = np.rot90(pixels, -self._turns[quarter])
        return True

    def fill(self, board: int, image: NDArray[Any]) -> None:
        """Write the fill value to all pixels of a board."""
        self._place(board, image)[:] = self._fill

    def fill_gaps(self, image: NDArray[Any]) -> None:
        """Do nothing: each pixel belongs to a board."""

    def reload(self) -> None:
        """Return None, because a telescope has no calibration files."""

    def _place(self, board: int, image: NDArray[Any]) -> NDArray[Any]:
        if not self._has_quarters:
            return image
        row, column = PLACES[board]
        return image[row : row + EDGE, column : column + EDGE]
