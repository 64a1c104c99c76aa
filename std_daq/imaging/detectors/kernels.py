"""Kernels that place raw pixels into the image as they are.

All of them take one module's frame and write its rows into the image in one pass. The module's pixel (0, 0) goes to
``(y_first, x_first)``, further ones in steps of ``y_step`` and ``x_step`` (1 or -1), with ``gap`` pixels between chips
of ``chip`` x ``chip`` pixels. Rows of units whose bit in ``received`` is not set get the fill value.

Loops take no slices of arrays and index with `index`. A slice is a reference that numba counts in memory, with a
locked instruction that waits until all pixels written before have left the core: one for each chip's row costs more
than the pixels' way through the processor. Unsigned indices cannot count from the end, so that loops are free of
the check for that and become vector code.
"""

from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from std_daq.native.jit import kernel, njit
from std_daq.native.line_stores import copy_pixels, fetch_ends, order_stores

# Signatures take read-only arrays, which writable ones convert to: readers of a ring may map it either way.
BITMAP = types.Array(types.uint64, 1, "C", readonly=True)


def _place_chips_signature(pixel: Any) -> Any:
    pixels = types.Array(pixel, 2, "C", readonly=True)
    numbers = [types.int64] * 3
    steps = [types.int64] * 4
    return types.void(pixels, BITMAP, *numbers, pixel[:, ::1], *steps, pixel)


index = np.uint64
ROWS_AHEAD = 8
"""So many rows before it is written the ends of a row are asked for: that is how long memory takes to answer."""


@njit(inline="always")
def is_received(received: NDArray[np.uint64], unit: int) -> bool:
    """Tell whether a unit's bit is set."""
    return bool((received[index(unit >> 6)] >> np.uint64(unit & 63)) & np.uint64(1))


@njit(inline="always")
def row_in_image(row: int, chip: int, gap: int, y_first: int, y_step: int) -> int:
    """Return the row of the image that a row of the module lies in."""
    return y_first + y_step * (row + gap * (row // chip))


@njit(inline="always")
def left_of_chip(number: int, chip: int, gap: int, x_first: int, x_step: int) -> int:
    """Return the leftmost column of the image that a chip covers; chips are counted along the module's rows."""
    column = number * (chip + gap)
    return x_first + column if x_step > 0 else x_first - column - chip + 1


@njit(inline="always")
def set_pixels(image: NDArray[Any], y: int, x: int, n: int, value: Any) -> None:
    """Set ``n`` pixels of a row of the image; a slice assignment is not compiled to vector code."""
    for i in range(n):
        image[index(y), index(x + i)] = value


@njit(inline="always")
def fetch_row_ahead(
    image: NDArray[Any], row: int, rows: int, chip: int, gap: int, y_first: int, y_step: int, x: int
) -> None:
    """Ask for the ends of the chip's row that comes `ROWS_AHEAD` later, if there is one."""
    if row + ROWS_AHEAD < rows:
        fetch_ends(image, row_in_image(row + ROWS_AHEAD, chip, gap, y_first, y_step), x, chip)


@kernel({str(pixel): _place_chips_signature(pixel) for pixel in (types.uint8, types.uint16, types.uint32)})
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
    """Copy raw pixels (rows, columns) into the image, both C-contiguous and of the same type.

    Rows that are not flipped in x go past the caches, see `std_daq.native.line_stores`.
    """
    rows, columns = pixels.shape
    for row in range(rows):
        y = row_in_image(row, chip, gap, y_first, y_step)
        has_arrived = is_received(received, row // rows_per_unit)
        for number in range(columns // chip):
            x = left_of_chip(number, chip, gap, x_first, x_step)
            first = number * chip
            last = first + chip - 1
            if not has_arrived:
                set_pixels(image, y, x, chip, fill)
            elif x_step > 0:
                fetch_row_ahead(image, row, rows, chip, gap, y_first, y_step, x)
                copy_pixels(image, y, x, pixels, row, first, chip)
            else:
                for i in range(chip):
                    image[index(y), index(x + i)] = pixels[index(row), index(last - i)]
    order_stores()
