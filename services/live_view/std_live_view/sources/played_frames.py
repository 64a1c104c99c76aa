"""PlayedFrames: the frames of one product for the simulation, from a PFF file or made up."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from std_daq.errors import FileFormatError
from std_daq.telescope.pff import PRODUCTS, PffFile, Product
from std_daq.telescope.pff.header import TAI_MINUS_UTC_S, TAI_MODULUS

_NOISE_ADC = 20
_PULSE_ADC = 800


class PlayedFrame(NamedTuple):
    """A frame of the simulation, the same for all modules."""

    header: Mapping[str, Any]
    pixels: npt.NDArray[Any]


class PlayedFrames:
    """The frames of one product, round and round.

    Parameters
    ----------
    file
        PFF file whose frames are played; None: frames are made up.
    is_pulse_height
        Whether these are the pulse heights of the simulation; a file of the other kind is refused.

    Raises
    ------
    FileFormatError
        The file is no PFF file, contains no frame, or is of the other kind.
    OSError
        The file cannot be read.
    """

    def __init__(self, file: Path | None, *, is_pulse_height: bool) -> None:
        self._file = None if file is None else PffFile(file)
        self.product: Product = (
            PRODUCTS["ph256" if is_pulse_height else "img16"] if self._file is None else self._file.product
        )
        if self._file is not None and (len(self._file) == 0 or self.product.is_pulse_height != is_pulse_height):
            self._file.close()
            kind = "pulse heights" if is_pulse_height else "movie images"
            raise FileFormatError(f"{file} has {len(self._file)} frames of {self.product.name}, and none of {kind}")

    def frame(self, number: int) -> PlayedFrame:
        """Return the frame with this number; the first one follows the last."""
        if self._file is None:
            return _made_up(self.product, number)
        frame = self._file[number % len(self._file)]
        return PlayedFrame(frame.header, frame.pixels)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def _made_up(product: Product, number: int) -> PlayedFrame:
    """Return noise with a spot that goes round, as if a star moved."""
    second, ns = divmod(time.time_ns(), 10**9)
    packet = {
        "pkt_num": number % 65536,
        "pkt_tai": (second + TAI_MINUS_UTC_S) % TAI_MODULUS,
        "pkt_nsec": ns,
        "tv_sec": second,
        "tv_usec": ns // 1000,
    }
    header: dict[str, Any] = {f"quabo_{quabo}": packet for quabo in product.quabos} or {
        "quabo_num": number % 4,
        **packet,
    }
    height, width = product.shape
    noise = np.random.default_rng(number).normal(
        0 if product.is_pulse_height else 5 * _NOISE_ADC, _NOISE_ADC, product.shape
    )
    angle = number / 20
    row = height / 2 * (1 + 0.6 * np.sin(angle))
    column = width / 2 * (1 + 0.6 * np.cos(angle))
    rows, columns = np.indices(product.shape)
    spot = _PULSE_ADC * np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / 4)
    limits = np.iinfo(product.dtype)
    return PlayedFrame(header, np.clip(noise + spot, limits.min, limits.max).astype(product.dtype))
