"""Kernels that turn raw JUNGFRAU pixels into energies or photons, straight into the image.

A raw pixel is a gain code (bits 14-15) and an ADC value (bits 0-13). Its energy is
``(float32(adc) - pedestal) * inverse_gain``, in float32 and in this order. Where there is no valid energy (code 2,
which does not exist, and masked pixels) the table holds NaN, and the pixel gets the fill value.

The tables are far larger than the caches, so the time goes with the bytes read from them. Nearly all pixels have code
0: each stretch of a row is first corrected as if all had, with pedestals and inverse gains of that code alone, in
vector instructions (8 bytes of tables a pixel). Only where another code was seen are those pixels done again, from the
table that holds all four codes of a pixel side by side (32 bytes).

Placing is as in `std_daq.detectors.kernels`.
"""

from typing import Any

import numpy as np
from numba import boolean, float32, int32, int64, njit, types, uint16, uint32, uint64, void
from numpy.typing import NDArray

from std_daq.detectors.kernels import BITMAP, chip_row, is_received, reverse, set_all

N_CODES = 4
NUMBERS_PER_PIXEL = 2 * N_CODES
# The float32 values nearest to the limits of int32 that convert back without overflow.
LARGEST_COUNTS = np.float32(2**31 - 128)
SMALLEST_COUNTS = np.float32(-(2**31))

_RAW = types.Array(uint16, 2, "C", readonly=True)
_TABLE = types.Array(float32, 2, "C", readonly=True)
_NUMBERS = [int64] * 4


@njit(inline="always")
def pixel_energy(raw: Any, table: NDArray[np.float32], index: int) -> Any:
    """Return the energy of a pixel in keV, NaN where it has none; ``table`` and ``index`` are of its row."""
    # Unsigned, so that the compiler need not think of negative indices.
    at = np.uint64(index) * np.uint64(NUMBERS_PER_PIXEL) + np.uint64(2) * np.uint64(raw >> np.uint16(14))
    return (np.float32(np.int32(raw & np.uint16(0x3FFF))) - table[at]) * table[at + np.uint64(1)]


@njit(inline="always")
def _number_of_photons(energy: Any, factor: Any) -> Any:
    return min(max(np.rint(energy / factor), SMALLEST_COUNTS), LARGEST_COUNTS)


@njit(inline="always")
def _energies_of_chip(raw: Any, pedestals: Any, inverse_gains: Any, table: Any, fill: Any, energies: Any) -> None:
    seen = np.uint16(0)
    for i in range(len(energies)):
        seen = np.uint16(seen | raw[i])
        energy = (np.float32(np.int32(raw[i] & np.uint16(0x3FFF))) - pedestals[i]) * inverse_gains[i]
        energies[i] = fill if np.isnan(energy) else energy
    if seen <= np.uint16(0x3FFF):
        return
    for i in range(len(energies)):
        if raw[i] > np.uint16(0x3FFF):
            energy = pixel_energy(raw[i], table, i)
            energies[i] = fill if np.isnan(energy) else energy


@njit(inline="always")
def _counts_of_chip(
    raw: Any, pedestals: Any, inverse_gains: Any, table: Any, factor: Any, fill: Any, counts: Any
) -> None:
    seen = np.uint16(0)
    for i in range(len(counts)):
        seen = np.uint16(seen | raw[i])
        energy = (np.float32(np.int32(raw[i] & np.uint16(0x3FFF))) - pedestals[i]) * inverse_gains[i]
        counts[i] = fill if np.isnan(energy) else np.int32(_number_of_photons(energy, factor))
    if seen <= np.uint16(0x3FFF):
        return
    for i in range(len(counts)):
        if raw[i] > np.uint16(0x3FFF):
            energy = pixel_energy(raw[i], table, i)
            counts[i] = fill if np.isnan(energy) else np.int32(_number_of_photons(energy, factor))


@njit(void(_RAW, BITMAP, *_NUMBERS[:3], _TABLE, _TABLE, float32[:, ::1], *_NUMBERS, float32), nogil=True, cache=True)
def correct_to_energy(
    raw: NDArray[np.uint16],
    received: NDArray[np.uint64],
    rows_per_unit: int,
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
        (rows, columns), C-contiguous.
    code_0
        (rows, 2 * columns): the pedestals of code 0, then its inverse gains.
    table
        (rows, columns * 8): pedestal and inverse gain of the four codes of each pixel.
    """
    rows, columns = raw.shape
    for row in range(rows):
        source, numbers = raw[row], table[row]
        pedestals, inverse_gains = code_0[row, :columns], code_0[row, columns:]
        target = image[y_first + y_step * (row + gap * (row // chip))]
        has_arrived = is_received(received, row // rows_per_unit)
        for start in range(0, columns, chip):
            part = chip_row(target, start + gap * (start // chip), chip, x_first, x_step)
            if not has_arrived:
                set_all(part, fill)
                continue
            stop = start + chip
            _energies_of_chip(
                source[start:stop],
                pedestals[start:stop],
                inverse_gains[start:stop],
                numbers[start * NUMBERS_PER_PIXEL : stop * NUMBERS_PER_PIXEL],
                fill,
                part,
            )
            if x_step < 0:
                reverse(part)


@njit(
    void(_RAW, BITMAP, *_NUMBERS[:3], _TABLE, _TABLE, float32, int32[:, ::1], *_NUMBERS, int32),
    nogil=True,
    cache=True,
)
def correct_to_counts(
    raw: NDArray[np.uint16],
    received: NDArray[np.uint64],
    rows_per_unit: int,
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
    """Write photons: as `correct_to_energy`, divided by ``factor`` and rounded half to even, limited to int32."""
    rows, columns = raw.shape
    for row in range(rows):
        source, numbers = raw[row], table[row]
        pedestals, inverse_gains = code_0[row, :columns], code_0[row, columns:]
        target = image[y_first + y_step * (row + gap * (row // chip))]
        has_arrived = is_received(received, row // rows_per_unit)
        for start in range(0, columns, chip):
            part = chip_row(target, start + gap * (start // chip), chip, x_first, x_step)
            if not has_arrived:
                set_all(part, fill)
                continue
            stop = start + chip
            _counts_of_chip(
                source[start:stop],
                pedestals[start:stop],
                inverse_gains[start:stop],
                numbers[start * NUMBERS_PER_PIXEL : stop * NUMBERS_PER_PIXEL],
                factor,
                fill,
                part,
            )
            if x_step < 0:
                reverse(part)


@njit(inline="always")
def _spread(image: NDArray[Any], y: int, x: int, y_gap: int, x_gap: int, is_shared: bool, fill: Any) -> None:
    value = image[y, x]
    if is_shared and value != fill:
        image[y_gap, x_gap] = value / 2  # integers are cut towards zero
        image[y, x] = value - image[y_gap, x_gap]
    else:
        image[y_gap, x_gap] = value


@njit(
    [void(pixel[:, ::1], int64, *_NUMBERS, boolean, pixel) for pixel in (float32, int32)],
    nogil=True,
    cache=True,
)
def spread_double_pixels(
    image: NDArray[Any],
    chip: int,
    y_first: int,
    x_first: int,
    y_step: int,
    x_step: int,
    is_shared: bool,
    fill: Any,
) -> None:
    """Give the gap pixels of a module of 4 x 2 chips, 2 pixels apart, values of the double-size pixels beside them.

    Columns first, then rows, so that a corner, double in both directions, is spread over four pixels. Sums are kept
    when shared: an odd count leaves the larger part to the real pixel. A value equal to ``fill`` is copied, not shared.

    Parameters
    ----------
    image
        Converted, see above.
    is_shared
        Whether the value is divided between both pixels, or copied.
    """
    period = chip + 2
    height, width = 2 * period - 2, 4 * period - 2
    for row in range(height):
        y = y_first + y_step * row
        for edge in range(chip - 1, width - 3, period):
            x = x_first + x_step * edge
            _spread(image, y, x, y, x + x_step, is_shared, fill)
            _spread(image, y, x + 3 * x_step, y, x + 2 * x_step, is_shared, fill)
    y = y_first + y_step * (chip - 1)
    for column in range(width):
        x = x_first + x_step * column
        _spread(image, y, x, y + y_step, x, is_shared, fill)
        _spread(image, y + 3 * y_step, x, y + 2 * y_step, x, is_shared, fill)


@njit(void(_RAW, int64[::1]), nogil=True, cache=True)
def count_codes(raw: NDArray[np.uint16], n_pixels: NDArray[np.int64]) -> None:
    """Count the pixels of each gain code; ``n_pixels`` (4,) is set."""
    n_pixels[:] = 0
    for row in range(raw.shape[0]):
        for column in range(raw.shape[1]):
            n_pixels[raw[row, column] >> np.uint16(14)] += 1


@njit(void(_RAW, int64, uint64[:, ::1], uint64[:, ::1], uint32[:, ::1]), nogil=True, cache=True)
def accumulate(
    raw: NDArray[np.uint16],
    code: int,
    sums: NDArray[np.uint64],
    squares: NDArray[np.uint64],
    n_samples: NDArray[np.uint32],
) -> None:
    """Add the ADC values, and their squares, of the pixels that have this gain code; all arrays (rows, columns)."""
    for row in range(raw.shape[0]):
        source, sum_, square, n = raw[row], sums[row], squares[row], n_samples[row]
        for i in range(len(source)):
            is_taken = np.uint64(source[i] >> np.uint16(14) == code)
            adc = np.uint64(source[i] & np.uint16(0x3FFF)) * is_taken
            sum_[i] += adc
            square[i] += adc * adc
            n[i] += np.uint32(is_taken)
