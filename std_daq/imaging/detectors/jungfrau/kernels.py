"""Kernels that convert raw JUNGFRAU pixels to energies or photons and write them directly into the image.

A raw pixel consists of a gain code (bits 14-15) and an ADC value (bits 0-13). Its energy is
``(float32(adc) - pedestal) * inverse_gain``, computed in float32 and in this order. If there is no valid energy, the
table holds NaN and the pixel gets the fill value. This is so for code 2, which does not exist, and for masked pixels.

The tables are far larger than the caches, so the time is proportional to the bytes read from them. Nearly all pixels
have code 0. Therefore each stretch of a row is first corrected as if all its pixels had code 0, from a table of this
code alone: 8 bytes per pixel, in vector instructions. If some pixels of the stretch have another code, they are
corrected again, from a table with all four codes of a pixel side by side: 32 bytes per pixel.

Pixels are placed as in `std_daq.imaging.detectors.kernels`.
"""

from typing import Any

import numpy as np
from numba import boolean, float32, int32, int64, types, uint16, uint32, uint64, void
from numpy.typing import NDArray

from std_daq.imaging.detectors.kernels import BITMAP, index, is_received, left_of_chip, row_in_image, set_pixels
from std_daq.native.jit import kernel, njit

N_CODES = 4
NUMBERS_PER_PIXEL = 2 * N_CODES
# Length of a block in the table of code 0: the pedestals of 64 pixels, then the inverse gains of these pixels.
BLOCK = 64
# Up to this number of pixels with another code in a stretch are corrected one by one; if there are more, the whole
# stretch is.
FEW = 8
MAX_ADC = np.uint16(0x3FFF)
# The largest and the smallest float32 that convert to int32 without overflow.
MAX_COUNTS = np.float32(2**31 - 128)
MIN_COUNTS = np.float32(-(2**31))

_RAW = types.Array(uint16, 2, "C", readonly=True)
_TABLE = types.Array(float32, 2, "C", readonly=True)
_NUMBERS = [int64] * 4


@njit(inline="always")
def _energy(raw: Any, pedestal: Any, inverse_gain: Any) -> Any:
    return (np.float32(np.int32(raw & MAX_ADC)) - pedestal) * inverse_gain


@njit(inline="always")
def pixel_energy(raw: Any, table: NDArray[np.float32], row: int, column: int) -> Any:
    """Return the energy of a pixel in keV from the table of all codes; NaN if it has no valid energy."""
    at = column * NUMBERS_PER_PIXEL + 2 * np.int64(raw >> np.uint16(14))
    return _energy(raw, table[index(row), index(at)], table[index(row), index(at + 1)])


@njit(inline="always")
def _as_energy(energy: Any, _factor: Any, fill: Any) -> Any:
    return fill if np.isnan(energy) else energy


@njit(inline="always")
def _as_photons(energy: Any, factor: Any, fill: Any) -> Any:
    return fill if np.isnan(energy) else np.int32(min(max(np.rint(energy / factor), MIN_COUNTS), MAX_COUNTS))


@njit(inline="always")
def _correct_stretch(
    raw: Any, row: Any, first: Any, n: Any, code_0: Any, block: Any, table: Any, factor: Any, image: Any, y: Any,
    x: Any, fill: Any, as_pixel: Any,
) -> None:  # fmt: skip
    """Correct ``n`` pixels of a row from column ``first`` on; all of them lie in the same block of ``code_0``."""
    pedestal = first + first // BLOCK * block
    inverse_gain = pedestal + block
    n_others = np.uint16(0)
    for i in range(n):
        pixel = raw[index(row), index(first + i)]
        n_others = np.uint16(n_others + np.uint16(pixel > MAX_ADC))  # stays 16 bits wide, like the pixels
        energy = _energy(pixel, code_0[index(row), index(pedestal + i)], code_0[index(row), index(inverse_gain + i)])
        image[index(y), index(x + i)] = as_pixel(energy, factor, fill)
    if n_others > FEW:
        for i in range(n):
            energy = pixel_energy(raw[index(row), index(first + i)], table, row, first + i)
            image[index(y), index(x + i)] = as_pixel(energy, factor, fill)
    elif n_others > 0:
        for i in range(n):
            pixel = raw[index(row), index(first + i)]
            if pixel > MAX_ADC:
                image[index(y), index(x + i)] = as_pixel(pixel_energy(pixel, table, row, first + i), factor, fill)


@njit(inline="always")
def _reverse(image: Any, y: Any, x: Any, n: Any) -> None:
    for i in range(n // 2):
        left, right = image[index(y), index(x + i)], image[index(y), index(x + n - 1 - i)]
        image[index(y), index(x + i)], image[index(y), index(x + n - 1 - i)] = right, left


@njit(inline="always")
def _correct(
    raw: Any, received: Any, rows_per_unit: Any, first_row: Any, chip: Any, gap: Any, code_0: Any, table: Any,
    factor: Any, image: Any, y_first: Any, x_first: Any, y_step: Any, x_step: Any, fill: Any, as_pixel: Any,
) -> None:  # fmt: skip
    rows, columns = raw.shape
    block = min(BLOCK, columns)
    stretch = min(block, chip)
    for row in range(rows):
        y = row_in_image(first_row + row, chip, gap, y_first, y_step)
        has_arrived = is_received(received, row // rows_per_unit)
        for number in range(columns // chip):
            x = left_of_chip(number, chip, gap, x_first, x_step)
            if not has_arrived:
                set_pixels(image, y, x, chip, fill)
                continue
            for i in range(0, chip, stretch):
                _correct_stretch(
                    raw, row, number * chip + i, stretch, code_0, block, table, factor, image, y, x + i, fill, as_pixel
                )
            if x_step < 0:
                _reverse(image, y, x, chip)


@kernel(
    void(_RAW, BITMAP, *_NUMBERS, _TABLE, _TABLE, float32[:, ::1], *_NUMBERS, float32),
)
def correct_to_energy(
    raw: NDArray[np.uint16],
    received: NDArray[np.uint64],
    rows_per_unit: int,
    first_row: int,
    chip: int,
    gap: int,
    code_0: NDArray[np.float32],
    table: NDArray[np.float32],
    image: NDArray[np.float32],
    y_first: int,
    x_first: int,
    y_step: int,
    x_step: int,
    fill: Any,
) -> None:
    """Write energies in keV.

    Parameters
    ----------
    raw
        Raw pixels, (rows, columns), C-contiguous; the tables are of the same rows. The width of a chip is a multiple of
        a block of ``code_0``, or a block is a multiple of it.
    code_0
        Table of code 0, (rows, 2 * columns), in blocks of `BLOCK` pixels, or of a whole row if that is shorter: the
        pedestals of the block's pixels, then their inverse gains.
    table
        Table of all codes, (rows, columns * 8): pedestal and inverse gain for each of the four codes of a pixel.
    """
    _correct(
        raw, received, rows_per_unit, first_row, chip, gap, code_0, table, None, image, y_first, x_first, y_step,
        x_step, fill, _as_energy,
    )  # fmt: skip


@kernel(
    void(_RAW, BITMAP, *_NUMBERS, _TABLE, _TABLE, float32, int32[:, ::1], *_NUMBERS, int32),
    error_model="numpy",  # Python's would check each pixel for a factor of 0, which prevents vector code
)
def correct_to_counts(
    raw: NDArray[np.uint16],
    received: NDArray[np.uint64],
    rows_per_unit: int,
    first_row: int,
    chip: int,
    gap: int,
    code_0: NDArray[np.float32],
    table: NDArray[np.float32],
    factor: Any,
    image: NDArray[np.int32],
    y_first: int,
    x_first: int,
    y_step: int,
    x_step: int,
    fill: int,
) -> None:
    """Write photons: energies as in `correct_to_energy`, divided by ``factor``, rounded half to even, within int32."""
    _correct(
        raw, received, rows_per_unit, first_row, chip, gap, code_0, table, factor, image, y_first, x_first, y_step,
        x_step, fill, _as_photons,
    )  # fmt: skip


@njit(inline="always")
def _spread(image: NDArray[Any], y: int, x: int, y_gap: int, x_gap: int, is_shared: bool, fill: Any) -> None:
    value = image[y, x]
    if is_shared and value != fill:
        image[y_gap, x_gap] = value / 2  # integers are rounded towards zero
        image[y, x] = value - image[y_gap, x_gap]
    else:
        image[y_gap, x_gap] = value


@kernel(
    {str(pixel): void(pixel[:, ::1], int64, *_NUMBERS[:2], *_NUMBERS, boolean, pixel) for pixel in (float32, int32)}
)
def spread_double_pixels(
    image: NDArray[Any],
    chip: int,
    first_row: int,
    end_row: int,
    y_first: int,
    x_first: int,
    y_step: int,
    x_step: int,
    is_shared: bool,
    fill: Any,
) -> None:
    """Fill the gap pixels beside some rows of a module from its double-size pixels; 4 x 2 chips are 2 pixels apart.

    Columns are done before rows, so that a pixel at a corner, which is double-size in both directions, is spread over
    four pixels. Sharing keeps the sum: of an odd count, the real pixel keeps the larger part. A value equal to ``fill``
    is copied, not shared.

    Parameters
    ----------
    image
        Image with the converted pixels of the module.
    first_row, end_row
        Rows of the module whose pixels are spread, end excluded.
    is_shared
        Whether the value is divided between both pixels; otherwise it is copied.
    """
    period = chip + 2
    width = 4 * period - 2
    for row in range(first_row, end_row):
        y = row_in_image(row, chip, 2, y_first, y_step)
        for edge in range(chip - 1, width - 3, period):
            x = x_first + x_step * edge
            _spread(image, y, x, y, x + x_step, is_shared, fill)
            _spread(image, y, x + 3 * x_step, y, x + 2 * x_step, is_shared, fill)
    y = y_first + y_step * (chip - 1)
    for column in range(width):
        x = x_first + x_step * column
        if first_row < chip <= end_row:
            _spread(image, y, x, y + y_step, x, is_shared, fill)
        if first_row <= chip < end_row:
            _spread(image, y + 3 * y_step, x, y + 2 * y_step, x, is_shared, fill)


@kernel(void(_RAW, int64[::1]))
def count_codes(raw: NDArray[np.uint16], n_pixels: NDArray[np.int64]) -> None:
    """Count the pixels of each gain code into ``n_pixels``, (4,)."""
    n_pixels[:] = 0
    for row in range(raw.shape[0]):
        for column in range(raw.shape[1]):
            n_pixels[raw[row, column] >> np.uint16(14)] += 1


@kernel(void(_RAW, int64, uint64[:, ::1], uint64[:, ::1], uint32[:, ::1]))
def accumulate(
    raw: NDArray[np.uint16],
    code: int,
    sums: NDArray[np.uint64],
    squares: NDArray[np.uint64],
    n_samples: NDArray[np.uint32],
) -> None:
    """Add up the ADC values and their squares for pixels with this gain code; all arrays are (rows, columns)."""
    for row in range(raw.shape[0]):
        source, sum_, square, n = raw[row], sums[row], squares[row], n_samples[row]
        for i in range(len(source)):
            is_taken = np.uint64(source[i] >> np.uint16(14) == code)
            adc = np.uint64(source[i] & np.uint16(0x3FFF)) * is_taken
            sum_[i] += adc
            square[i] += adc * adc
            n[i] += np.uint32(is_taken)
