"""The kernels for EIGER frames of 4 and 12 bits; `std_daq.imaging.detectors.kernels.place_chips` places others."""

from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from std_daq.imaging.detectors.kernels import (
    BITMAP,
    fetch_row_ahead,
    index,
    is_received,
    left_of_chip,
    row_in_image,
    set_pixels,
)
from std_daq.native.jit import kernel, njit
from std_daq.native.line_stores import order_stores, unpack_nibbles

_BYTES_PER_PAIR = 3
_PACKED = types.Array(types.uint8, 2, "C", readonly=True)
_NUMBER = types.int64


@kernel(
    types.void(_PACKED, BITMAP, *[_NUMBER] * 3, types.uint8[:, ::1], *[_NUMBER] * 4, types.uint8),
)
def place_nibbles(
    packed: NDArray[np.uint8],
    received: NDArray[np.uint64],
    rows_per_unit: int,
    chip: int,
    gap: int,
    image: NDArray[np.uint8],
    y_first: int,
    x_first: int,
    y_step: int,
    x_step: int,
    fill: int,
) -> None:
    """Copy pixels that are packed two per byte, low nibble first, (rows, columns / 2), like `place_chips`."""
    rows, pairs_per_chip = packed.shape[0], chip // 2
    for row in range(rows):
        y = row_in_image(row, chip, gap, y_first, y_step)
        has_arrived = is_received(received, row // rows_per_unit)
        for number in range(packed.shape[1] // pairs_per_chip):
            x = left_of_chip(number, chip, gap, x_first, x_step)
            first = number * pairs_per_chip
            last = first + pairs_per_chip - 1
            if not has_arrived:
                set_pixels(image, y, x, chip, fill)
            elif x_step > 0:
                fetch_row_ahead(image, row, rows, chip, gap, y_first, y_step, x)
                unpack_nibbles(image, y, x, packed, row, first, chip)
            else:
                for i in range(pairs_per_chip):
                    pair = packed[index(row), index(last - i)]
                    image[index(y), index(x + 2 * i)] = np.uint8(pair >> np.uint8(4))
                    image[index(y), index(x + 2 * i + 1)] = np.uint8(pair & np.uint8(15))
    order_stores()


@njit(inline="always")
def _unpacked(packed: Any, row: Any, at: Any, is_second: Any) -> Any:
    """Return one of the two pixels in three bytes; each step is cut to 8 or 16 bits, so that vectors hold more."""
    middle = packed[index(row), index(at + 1)]
    if is_second:
        high = np.uint16(packed[index(row), index(at + 2)])
        return np.uint16(np.uint16(middle >> np.uint8(4)) | np.uint16(high << np.uint16(4)))
    low = np.uint16(packed[index(row), index(at)])
    return np.uint16(low | np.uint16(np.uint16(middle & np.uint8(15)) << np.uint16(8)))


@kernel(
    types.void(_PACKED, BITMAP, *[_NUMBER] * 3, types.uint16[:, ::1], *[_NUMBER] * 4, types.uint16),
)
def place_packed(
    packed: NDArray[np.uint8],
    received: NDArray[np.uint64],
    unit_bytes: int,
    chip: int,
    gap: int,
    image: NDArray[np.uint16],
    y_first: int,
    x_first: int,
    y_step: int,
    x_step: int,
    fill: int,
) -> None:
    """Copy pixels that are packed two per three bytes, (rows, columns * 3 / 2), like `place_chips`.

    A unit of ``unit_bytes`` need not end at the end of a row, nor of a pixel. A pixel that lies in two units gets the
    fill value if either has not arrived.
    """
    rows, row_bytes = packed.shape
    chip_bytes = chip // 2 * _BYTES_PER_PAIR
    for row in range(rows):
        y = row_in_image(row, chip, gap, y_first, y_step)
        for number in range(row_bytes // chip_bytes):
            x = left_of_chip(number, chip, gap, x_first, x_step)
            first = number * chip_bytes
            begin = row * row_bytes + first
            is_whole = True
            for unit in range(begin // unit_bytes, (begin + chip_bytes - 1) // unit_bytes + 1):
                is_whole &= is_received(received, unit)
            if not is_whole:
                set_pixels(image, y, x, chip, fill)
                _place_received(packed, received, unit_bytes, row, first, chip, image, y, x, x_step)
            elif x_step > 0:
                for i in range(chip // 2):
                    at = first + _BYTES_PER_PAIR * i
                    image[index(y), index(x + 2 * i)] = _unpacked(packed, row, at, False)
                    image[index(y), index(x + 2 * i + 1)] = _unpacked(packed, row, at, True)
            else:
                last = first + chip_bytes - _BYTES_PER_PAIR
                for i in range(chip // 2):
                    at = last - _BYTES_PER_PAIR * i
                    image[index(y), index(x + 2 * i)] = _unpacked(packed, row, at, True)
                    image[index(y), index(x + 2 * i + 1)] = _unpacked(packed, row, at, False)


@njit
def _place_received(
    packed: Any,
    received: Any,
    unit_bytes: Any,
    row: Any,
    first: Any,
    chip: Any,
    image: Any,
    y: Any,
    x: Any,
    x_step: Any,
) -> None:
    """Copy the pixels of a chip's row of which all bits have arrived."""
    for pixel in range(chip):
        at = first + pixel // 2 * _BYTES_PER_PAIR
        begin = row * packed.shape[1] + at + pixel % 2
        if is_received(received, begin // unit_bytes) and is_received(received, (begin + 1) // unit_bytes):
            column = x + pixel if x_step > 0 else x + chip - 1 - pixel
            image[index(y), index(column)] = _unpacked(packed, row, at, pixel % 2 == 1)
