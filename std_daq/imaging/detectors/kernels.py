"""Kernels that place raw pixels into the image unchanged.

Each kernel gets the frame of one module, or of some of its rows from ``first_row`` on, and writes its rows into the
image in one pass. The module's pixel (0, 0) goes to ``(y_first, x_first)``. The next rows and columns follow in steps
of ``y_step`` and ``x_step`` (1 or -1). Between chips of ``chip`` x ``chip`` pixels lie ``gap`` pixels. Pixels of units
that have not arrived, whose bit in ``received`` is 0, get the fill value.

The loops use no slices of arrays, for speed. numba counts references to a slice in memory, with a locked instruction
that waits until all earlier writes have left the core. One such instruction for each row of a chip costs more than
moving its pixels. The loops index with `index`, an unsigned type. numba checks a signed index for negative values,
which count from the end; without this check the loops become vector code.
"""

from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from std_daq.native.jit import kernel, njit
from std_daq.native.line_stores import copy_pixels, fetch_ends, order_stores

# Signatures use read-only arrays, because numba converts writable arrays to them; readers may map a ring either way.
BITMAP = types.Array(types.uint64, 1, "C", readonly=True)


def _place_chips_signature(pixel: Any) -> Any:
    pixels = types.Array(pixel, 2, "C", readonly=True)
    numbers = [types.int64] * 4
    steps = [types.int64] * 4
    return types.void(pixels, BITMAP, *numbers, pixel[:, ::1], *steps, pixel)


index = np.uint64
ROWS_AHEAD = 8
"""Number of rows by which the prefetch of a row's ends precedes the writing of the row; memory takes that long to
answer."""


@njit(inline="always")
def is_received(received: NDArray[np.uint64], unit: int) -> bool:
    """Return whether a unit has arrived, that is, whether its bit is set."""
    return bool((received[index(unit >> 6)] >> np.uint64(unit & 63)) & np.uint64(1))


@njit(inline="always")
def row_in_image(row: int, chip: int, gap: int, y_first: int, y_step: int) -> int:
    """Return the row of the image in which a row of the module lies."""
    return y_first + y_step * (row + gap * (row // chip))


@njit(inline="always")
def left_of_chip(number: int, chip: int, gap: int, x_first: int, x_step: int) -> int:
    """Return the leftmost image column of a chip; chips are numbered along the rows of the module."""
    column = number * (chip + gap)
    return x_first + column if x_step > 0 else x_first - column - chip + 1


@njit(inline="always")
def set_pixels(image: NDArray[Any], y: int, x: int, n: int, value: Any) -> None:
    """Set ``n`` pixels of an image row; this loop becomes vector code, whereas a slice assignment does not."""
    for i in range(n):
        image[index(y), index(x + i)] = value


@njit(inline="always")
def fetch_row_ahead(
    image: NDArray[Any], row: int, rows: int, chip: int, gap: int, y_first: int, y_step: int, x: int
) -> None:
    """Prefetch the ends of the chip's row that is `ROWS_AHEAD` rows later, if there is one."""
    if row + ROWS_AHEAD < rows:
        fetch_ends(image, row_in_image(row + ROWS_AHEAD, chip, gap, y_first, y_step), x, chip)


@kernel({str(pixel): _place_chips_signature(pixel) for pixel in (types.uint8, types.uint16, types.uint32)})
def place_chips(
    pixels: NDArray[Any],
    received: NDArray[np.uint64],
    chips_per_unit: int,
    first_row: int,
    chip: int,
    gap: int,
    image: NDArray[Any],
    y_first: int,
    x_first: int,
    y_step: int,
    x_step: int,
    fill: Any,
) -> None:
    """Copy raw pixels (rows, columns) into the image; both arrays are C-contiguous and of the same type.

    A row of a module crosses several chips, and a unit consists of the rows of ``chips_per_unit`` chips. For example, a
    packet of JUNGFRAU with 4 rows of 4 chips has 16.

    Rows that are not flipped in x are written past the caches; see `std_daq.native.line_stores`.
    """
    rows, columns = pixels.shape
    end_row = first_row + rows
    n_chips = columns // chip
    rows_per_unit = chips_per_unit // n_chips
    has_whole_rows = rows_per_unit * n_chips == chips_per_unit
    has_arrived = False
    for row in range(rows):
        y = row_in_image(first_row + row, chip, gap, y_first, y_step)
        if has_whole_rows:
            has_arrived = is_received(received, row // rows_per_unit)
        for number in range(n_chips):
            if not has_whole_rows:
                has_arrived = is_received(received, (row * n_chips + number) // chips_per_unit)
            x = left_of_chip(number, chip, gap, x_first, x_step)
            first = number * chip
            last = first + chip - 1
            if not has_arrived:
                set_pixels(image, y, x, chip, fill)
            elif x_step > 0:
                fetch_row_ahead(image, first_row + row, end_row, chip, gap, y_first, y_step, x)
                copy_pixels(image, y, x, pixels, row, first, chip)
            else:
                for i in range(chip):
                    image[index(y), index(x + i)] = pixels[index(row), index(last - i)]
    order_stores()
