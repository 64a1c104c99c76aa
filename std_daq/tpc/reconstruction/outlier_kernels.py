"""Compiled: local outlier factors of points in space.

No table of all distances is kept: to compute a row of it once more takes less time than to read it from memory.
"""

from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from std_daq.native.jit import kernel, njit

_COORDINATES = types.Array(types.float64, 2, "C", readonly=True)
_NUMBERS = types.Array(types.float64, 1, "C")
_ROWS = types.Array(types.float64, 2, "C")

# How far a limit is moved if the other one is not known, how often limits are moved, and how many numbers are few.
_STEP, _MAX_COUNTS, _FEW = 1.25, 12, 64
# Sums have so many parts side by side, so that they become vector instructions. The order of the terms, and so the
# result, is the same on every processor.
_N_PARTS = 8
_MIN_REACH = 1e-10
N_SCRATCH_ROWS = 4

Numbers = NDArray[np.float64]


@kernel(types.void(_COORDINATES, types.int64, _NUMBERS, _ROWS))
def fill_outlier_factors(points: Numbers, n_neighbors: int, factors: Numbers, scratch: Numbers) -> None:
    """Fill the outlier factor of each point: how much denser the points near it are than it is.

    Parameters
    ----------
    points
        float64 (3, n), n at least 2: x, y, and z of all points.
    n_neighbors
        Rank of the neighbour up to which others are near, from 1 to n - 1. All that are as far as it are near, too.
    factors
        Filled: float64 (n,).
    scratch
        float64 (`N_SCRATCH_ROWS`, n)
    """
    n = len(factors)
    row, picked, squares, densities = scratch[0], scratch[1], scratch[2], scratch[3]
    guess = 0.0
    for i in range(n):
        _fill_squares(points, i, row)
        row[i] = -1.0  # the point itself comes first
        guess = squares[i] = _of_rank(row, n_neighbors, guess, picked)
    for i in range(n):
        _fill_squares(points, i, row)
        row[i] = np.inf
        limit, n_near = squares[i], np.int64(0)
        for j in range(n):
            is_near = row[j] <= limit
            n_near += is_near
            row[j] = np.sqrt(max(row[j], squares[j])) if is_near else 0.0
        densities[i] = 1.0 / (_sum(row) / n_near + _MIN_REACH)
    for i in range(n):
        _fill_squares(points, i, row)
        row[i] = np.inf
        limit, n_near = squares[i], np.int64(0)
        for j in range(n):
            is_near = row[j] <= limit
            n_near += is_near
            row[j] = densities[j] if is_near else 0.0
        factors[i] = _sum(row) / n_near / densities[i]


@njit
def _fill_squares(points: Numbers, i: int, row: Numbers) -> None:
    """Fill the squares of the distances of all points from one."""
    xs, ys, zs = points[0], points[1], points[2]
    x, y, z = xs[i], ys[i], zs[i]
    for j in range(len(row)):
        dx, dy, dz = xs[j] - x, ys[j] - y, zs[j] - z
        row[j] = dx * dx + dy * dy + dz * dz


@njit
def _of_rank(numbers: Numbers, rank: int, guess: float, picked: Numbers) -> Any:
    """Return the number that has a rank, from 0, in ascending order.

    To count the numbers below a limit takes vector instructions only, so limits are moved until few numbers are between
    them. Any guess gives the same number; a good one gives it sooner.
    """
    low, n_low = -np.inf, np.int64(0)
    high, n_high = np.inf, np.int64(len(numbers))
    limit = guess
    for _ in range(_MAX_COUNTS):
        n_below = _count_below(numbers, limit)
        if n_below <= rank:
            low, n_low = limit, n_below
        else:
            high, n_high = limit, n_below
        if n_high - n_low <= _FEW:
            break
        if high == np.inf:
            limit = low * _STEP
        elif low == -np.inf:
            limit = high / _STEP
        else:
            limit = low + (high - low) * (rank + 0.5 - n_low) / (n_high - n_low)
    n_picked = 0
    for number in numbers:
        if low <= number <= high:
            picked[n_picked] = number
            n_picked += 1
    if n_picked <= rank - n_low:  # some are not numbers
        return np.inf
    return _select(picked[:n_picked], rank - n_low)


@njit
def _count_below(numbers: Numbers, limit: float) -> Any:
    n_below = np.int64(0)
    for number in numbers:
        n_below += np.int64(number < limit)
    return n_below


@njit
def _select(numbers: Numbers, rank: int) -> Any:
    """Return the number that has a rank; the numbers are put in another order (Hoare's selection)."""
    first, last = 0, len(numbers) - 1
    while first < last:
        pivot = numbers[(first + last) // 2]
        i, j = first, last
        while i <= j:
            while numbers[i] < pivot:
                i += 1
            while numbers[j] > pivot:
                j -= 1
            if i <= j:
                numbers[i], numbers[j] = numbers[j], numbers[i]
                i += 1
                j -= 1
        if rank <= j:
            last = j
        elif rank >= i:
            first = i
        else:
            break
    return numbers[rank]


@njit
def _sum(numbers: Numbers) -> Any:
    parts = np.zeros(_N_PARTS)
    n_whole = len(numbers) // _N_PARTS * _N_PARTS
    for begin in range(0, n_whole, _N_PARTS):
        for part in range(_N_PARTS):
            parts[part] += numbers[begin + part]
    total = 0.0
    for i in range(n_whole, len(numbers)):
        total += numbers[i]
    for part in range(_N_PARTS):
        total += parts[part]
    return total
