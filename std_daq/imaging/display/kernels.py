"""Kernels that reduce a region of an image to bins, and that count its values.

A pixel counts if its mask is 0 and its value is a finite number. The flags of a bin tell what it has: MISSING or MASKED
if no pixel of it counts, and SATURATED if one that counts reaches the limit of the detector, also where the bin's value
is a mean.
"""

from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from std_daq.native.jit import kernel, njit

MISSING, MASKED, SATURATED = 1, 2, 4
_MASKS = types.Array(types.uint8, 2, "C", readonly=True)
_PIXELS = (types.uint8, types.uint16, types.uint32, types.int16, types.int32, types.float32, types.float64)


def _signatures(result: Any, *others: Any) -> dict[str, Any]:
    return {
        str(pixel): result(
            types.Array(pixel, 2, "A", readonly=True), types.Array(types.uint8, 2, "A", readonly=True), *others
        )
        for pixel in _PIXELS
    }


def _bin_signatures() -> dict[str, Any]:
    edges = types.Array(types.int64, 1, "C", readonly=True)
    return {
        str(pixel): types.void(
            types.Array(pixel, 2, "C", readonly=True),
            _MASKS, edges, edges, types.float64, types.boolean, types.float64[:, ::1], types.uint8[:, ::1],
            types.float64[:, ::1], types.uint8[::1],
        )
        for pixel in _PIXELS
    }  # fmt: skip


@njit(inline="always")
def _counts(value: Any) -> bool:
    return bool(np.isfinite(value))


@njit(inline="always")
def _collect_largest(pixels: Any, mask: Any, largest: Any, what: Any) -> None:
    """Add a row of pixels to the largest values and flags of a bin's rows; written so that it becomes vector code."""
    for i in range(len(largest)):
        value = np.float64(pixels[i])
        is_finite = _counts(value)
        seen = mask[i] if mask[i] != 0 else (np.uint8(0) if is_finite else np.uint8(MISSING))
        counted = value if seen == 0 else -np.inf
        largest[i] = counted if counted > largest[i] else largest[i]  # noqa: FURB136 - `max` is no vector code
        what[i] |= seen


@njit(inline="always")
def _collect_sums(pixels: Any, mask: Any, totals: Any, numbers: Any) -> None:
    """Add a row of pixels to the sums and numbers of a bin's rows; written so that it becomes vector code."""
    for i in range(len(totals)):
        value = np.float64(pixels[i])
        is_good = (mask[i] == 0) & _counts(value)
        totals[i] += value if is_good else 0.0
        numbers[i] += 1.0 if is_good else 0.0


@kernel(_bin_signatures())
def reduce_bins(
    pixels: NDArray[Any],
    mask: NDArray[np.uint8],
    row_edges: NDArray[np.int64],
    column_edges: NDArray[np.int64],
    saturation: float,
    is_mean: bool,
    values: NDArray[np.float64],
    flags: NDArray[np.uint8],
    sums: NDArray[np.float64],
    what: NDArray[np.uint8],
) -> None:
    """Reduce each bin to the maximum or the mean of the pixels that count; NaN if none does.

    The rows of a bin are brought together first, then its columns.

    Parameters
    ----------
    pixels, mask
        An image, and its mask: MISSING, MASKED or 0 for each pixel, (height, width).
    row_edges, column_edges
        First row of each bin and the end of the last one, (n + 1,); likewise the columns.
    saturation
        Values from here on are saturated.
    is_mean
        Whether to take the mean instead of the maximum.
    values, flags
        Filled with the results, (rows of bins, columns of bins).
    sums, what
        Room for (3, columns) numbers and (columns,) flags, of all columns of all bins.
    """
    x0, x1 = column_edges[0], column_edges[-1]
    for row in range(len(row_edges) - 1):
        sums[0] = -np.inf
        sums[1:] = 0.0
        what[:] = 0
        for y in range(row_edges[row], row_edges[row + 1]):
            _collect_largest(pixels[y, x0:x1], mask[y, x0:x1], sums[0], what)
            if is_mean:
                _collect_sums(pixels[y, x0:x1], mask[y, x0:x1], sums[1], sums[2])
        for column in range(len(column_edges) - 1):
            largest, total, n, seen = -np.inf, 0.0, 0.0, 0
            for i in range(column_edges[column] - x0, column_edges[column + 1] - x0):
                largest = max(largest, sums[0, i])
                total += sums[1, i]
                n += sums[2, i]
                seen |= what[i]
            if largest == -np.inf:
                values[row, column] = np.nan
                flags[row, column] = MASKED if seen & MASKED else MISSING
            else:
                values[row, column] = total / n if is_mean else largest
                flags[row, column] = SATURATED if largest >= saturation else 0


@kernel(_signatures(types.void, types.float64[::1]))
def measure(pixels: NDArray[Any], mask: NDArray[np.uint8], out: NDArray[np.float64]) -> None:
    """Measure the pixels of a region that count: their number, sum, smallest and largest value, in this order.

    The smallest and the largest value of no pixels are infinite.
    """
    n, total, smallest, largest = 0, 0.0, np.inf, -np.inf
    for y in range(pixels.shape[0]):
        for x in range(pixels.shape[1]):
            value = np.float64(pixels[y, x])
            if mask[y, x] == 0 and _counts(value):
                n += 1
                total += value
                smallest = min(smallest, value)
                largest = max(largest, value)
    out[0], out[1], out[2], out[3] = n, total, smallest, largest


@kernel(_signatures(types.void, types.float64, types.float64, types.int64[::1]))
def count_values(
    pixels: NDArray[Any], mask: NDArray[np.uint8], low: float, high: float, counts: NDArray[np.int64]
) -> None:
    """Count the pixels of a region in bins of their value, from ``low`` up to but not including ``high``.

    Parameters
    ----------
    counts
        Filled: first those below ``low``, then the bins, and at last those from ``high`` on, (n_bins + 2,).
    """
    n_bins = len(counts) - 2
    scale = n_bins / (high - low)
    counts[:] = 0
    for y in range(pixels.shape[0]):
        for x in range(pixels.shape[1]):
            value = np.float64(pixels[y, x])
            if mask[y, x] == 0 and _counts(value):
                if value < low:
                    counts[0] += 1
                elif value >= high:
                    counts[n_bins + 1] += 1
                else:
                    # Rounding may make it the end, and a range that no float can divide no number.
                    place = (value - low) * scale
                    counts[1 + (np.int64(place) if 0 <= place < n_bins else n_bins - 1)] += 1
