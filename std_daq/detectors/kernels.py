"""Kernels that place raw pixels into the image as they are.

All of them take one module's frame and write its rows into the image in one pass. The module's pixel (0, 0) goes to
``(y_first, x_first)``, further ones in steps of ``y_step`` and ``x_step`` (1 or -1), with ``gap`` pixels between chips
of ``chip`` x ``chip`` pixels. Rows of units whose bit in ``received`` is not set get the fill value.
"""

from typing import Any

import numpy as np
from numba import boolean, njit, types
from numpy.typing import NDArray

# Signatures take read-only arrays, which writable ones convert to: readers of a ring may map it either way.
BITMAP = types.Array(types.uint64, 1, "C", readonly=True)


def _place_chips_signature(pixel: Any) -> Any:
    pixels = types.Array(pixel, 2, "C", readonly=True)
    numbers = [types.int64] * 3
    steps = [types.int64] * 4
    return types.void(pixels, BITMAP, *numbers, pixel[:, ::1], *steps, pixel)


@njit(boolean(BITMAP, types.int64), nogil=True, cache=True)
def is_received(received: NDArray[np.uint64], unit: int) -> bool:
    """Tell whether a unit's bit is set."""
    return bool((received[unit >> 6] >> np.uint64(unit & 63)) & np.uint64(1))


@njit(inline="always")
def chip_row(row: NDArray[Any], column: int, chip: int, x_first: int, x_step: int) -> NDArray[Any]:
    """Return the pixels of one chip in a row of the image, from left to right; ``column`` is counted in the module."""
    left = x_first + column if x_step > 0 else x_first - column - chip + 1
    return row[left : left + chip]


# Loops, not slice assignments: those are not compiled to vector code, which takes 7 times as long.
@njit(inline="always")
def set_all(part: NDArray[Any], value: Any) -> None:
    """Set a row's pixels."""
    for i in range(len(part)):
        part[i] = value


@njit(inline="always")
def reverse(part: NDArray[Any]) -> None:
    """Turn the order of a row's pixels round."""
    last = len(part) - 1
    for i in range(len(part) // 2):
        part[i], part[last - i] = part[last - i], part[i]


@njit([_place_chips_signature(pixel) for pixel in (types.uint8, types.uint16, types.uint32)], nogil=True, cache=True)
def place_chips(
    pixels: NDArray[Any],
    received: NDArray[np.uint64],
    rows_per_unit: int,
    chip: int,
    gap: int,
    image: NDArray[Any],
    y_first: int,
    x_first: int,
    y_step: int,
    x_step: int,
    fill: Any,
) -> None:
    """Copy raw pixels (rows, columns) into the image, both C-contiguous and of the same type."""
    rows, columns = pixels.shape
    for row in range(rows):
        source = pixels[row]
        target = image[y_first + y_step * (row + gap * (row // chip))]
        has_arrived = is_received(received, row // rows_per_unit)
        for start in range(0, columns, chip):
            part = chip_row(target, start + gap * (start // chip), chip, x_first, x_step)
            if not has_arrived:
                set_all(part, fill)
                continue
            pixels_of_chip = source[start : start + chip]
            for i in range(len(part)):
                part[i] = pixels_of_chip[i]
            if x_step < 0:
                reverse(part)
