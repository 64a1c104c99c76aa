"""ColourLimits: which values get the first and the last colour of a type of image. Pure."""

from collections import deque
from typing import Any

import numpy as np
import numpy.typing as npt

_LOWEST, _HIGHEST = 0.05, 0.95


class ColourLimits:
    """Limits of the last images of a type: a single bright image, as of a flash, does not make all others dark.

    Parameters
    ----------
    window_size
        How many images count.
    """

    def __init__(self, window_size: int) -> None:
        self._minima: deque[float] = deque(maxlen=window_size)
        self._maxima: deque[float] = deque(maxlen=window_size)

    def add(self, pixels: npt.NDArray[Any]) -> None:
        """Take an image into account."""
        if pixels.size:
            self._minima.append(float(pixels.min()))
            self._maxima.append(float(pixels.max()))

    @property
    def limits(self) -> tuple[float, float]:
        """The 5 % quantile of the minima, and the 95 % quantile of the maxima; never the same value."""
        if not self._minima:
            return 0.0, 1.0
        lowest, highest = np.quantile(self._minima, _LOWEST), np.quantile(self._maxima, _HIGHEST)
        return float(lowest), float(max(highest, lowest + 1.0))
