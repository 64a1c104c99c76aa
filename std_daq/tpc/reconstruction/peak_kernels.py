"""Compiled: baselines without their peaks, and peaks with the rules of `scipy.signal.find_peaks`.

Of many hundred local maxima of a trace, a few are peaks. Prominence and width of a maximum do not depend on other
maxima, so they are looked at first, and the rule of the least distance, which needs an order by height, only for
maxima that are as high as one that is left. `find_peaks` leaves open which of two equally high maxima within the
distance is taken: it depends on how `numpy.argsort` orders equal numbers. Such rows are marked, and not decided here.

Source of the rules: the documentation of `scipy.signal.find_peaks`, `peak_prominences` and `peak_widths`.
"""

from typing import Any

from numba import types

from std_daq.native.jit import kernel, njit
from std_daq.tpc.electronics import N_TIME_BUCKETS

REL_HEIGHT = 0.95
"""Where the width of a peak is measured, as a part of its prominence below its top."""
UNDECIDED = -1
UNSEEN, KEPT, REMOVED, OPEN = 0, 1, 2, 3
NOT_GOOD = -1
MAX_PEAKS = N_TIME_BUCKETS // 2

TRACES = types.Array(types.int16, 2, "A", readonly=True)
ROWS = types.Array(types.int32, 2, "C", readonly=True)
COUNTS = types.Array(types.int32, 1, "C")
INTEGERS = types.Array(types.int32, 2, "C")
NUMBERS = types.Array(types.float64, 2, "C")
SCRATCH = types.Array(types.int32, 2, "C")


@kernel(types.void(TRACES, NUMBERS, NUMBERS))
def split_baselines(traces: Any, samples: Any, baselines: Any) -> Any:
    """Copy traces, and make of each a baseline in which samples far above the mean have the mean of the others.

    The first and last sample are those beside them. A sample is far above if it exceeds the mean by more than 1.5
    standard deviations of the population. All sums are exact for samples of 12 bits, so their order has no meaning.
    """
    n_rows, n_samples = traces.shape
    for row in range(n_rows):
        total = 0.0
        for i in range(n_samples):
            sample = float(traces[row, min(max(i, 1), n_samples - 2)])
            samples[row, i] = sample
            total += sample
        mean = total / n_samples
        squares = 0.0
        for i in range(n_samples):
            squares += (samples[row, i] - mean) ** 2
        limit = 1.5 * (squares / n_samples) ** 0.5
        rest, n_rest = 0.0, 0
        for i in range(n_samples):
            if samples[row, i] - mean <= limit:
                rest += samples[row, i]
                n_rest += 1
        level = float(int(rest / n_rest))
        for i in range(n_samples):
            baselines[row, i] = samples[row, i] if samples[row, i] - mean <= limit else level


@kernel(types.void(NUMBERS, NUMBERS, INTEGERS))
def subtract_baselines(samples: Any, baselines: Any, traces: Any) -> Any:
    """Put the samples without their baselines into ``traces``; fractions are cut off."""
    n_rows, n_samples = samples.shape
    for row in range(n_rows):
        for i in range(n_samples):
            traces[row, i] = int(samples[row, i] - baselines[row, i])


@njit
def _fill_maxima(trace: Any, maxima: Any) -> Any:
    """Put the local maxima of a trace into ``maxima``, and return their number; of a flat top, its middle."""
    n_maxima, i, last = 0, 1, len(trace) - 1
    while i < last:
        if trace[i - 1] < trace[i]:
            ahead = i + 1
            while ahead < last and trace[ahead] == trace[i]:
                ahead += 1
            if trace[ahead] < trace[i]:
                maxima[n_maxima] = (i + ahead - 1) // 2
                n_maxima += 1
                i = ahead
        i += 1
    return n_maxima


@njit
def _prominence(trace: Any, peak: Any) -> Any:
    """Return the prominence of a local maximum, and its bases to the left and right."""
    height = trace[peak]
    left = right = peak
    left_min = right_min = height
    i = peak
    while i >= 0 and trace[i] <= height:
        if trace[i] < left_min:
            left_min, left = trace[i], i
        i -= 1
    i = peak
    while i < len(trace) and trace[i] <= height:
        if trace[i] < right_min:
            right_min, right = trace[i], i
        i += 1
    return height - max(left_min, right_min), left, right


@njit
def _edges(trace: Any, peak: Any, prominence: Any, left: Any, right: Any) -> Any:
    """Return where a peak reaches its height of reference, interpolated, to the left and right of its top."""
    level = trace[peak] - prominence * REL_HEIGHT
    i = peak
    while left < i and level < trace[i]:
        i -= 1
    start = float(i)
    if trace[i] < level:
        start += (level - trace[i]) / (trace[i + 1] - trace[i])
    i = peak
    while i < right and level < trace[i]:
        i += 1
    end = float(i)
    if trace[i] < level:
        end -= (level - trace[i]) / (trace[i - 1] - trace[i])
    return start, end


@njit
def _next_height(trace: Any, maxima: Any, lowest: Any, states: Any) -> Any:
    """Return the largest height of maxima without a state, ``lowest - 1`` if there is none."""
    height = lowest - 1
    for i in range(len(maxima)):
        if states[i] == UNSEEN and trace[maxima[i]] > height:
            height = trace[maxima[i]]
    return height


@njit
def _state_by_higher(trace: Any, maxima: Any, i: Any, distance: Any, states: Any) -> Any:
    """Return the state of a maximum by the higher ones within the distance."""
    state = KEPT
    for step in (-1, 1):
        other = i + step
        while 0 <= other < len(maxima) and abs(maxima[other] - maxima[i]) < distance:
            if trace[maxima[other]] > trace[maxima[i]]:
                if states[other] == KEPT:
                    return REMOVED
                if states[other] == OPEN:
                    state = OPEN
            other += step
    return state


@njit
def _has_equal(trace: Any, maxima: Any, i: Any, distance: Any, states: Any) -> Any:
    """Return whether an equally high maximum within the distance is not removed."""
    for step in (-1, 1):
        other = i + step
        while 0 <= other < len(maxima) and abs(maxima[other] - maxima[i]) < distance:
            if trace[maxima[other]] == trace[maxima[i]] and states[other] != REMOVED:
                return True
            other += step
    return False


@njit
def _choose(trace: Any, maxima: Any, distance: Any, lowest: Any, states: Any) -> Any:
    """Choose among local maxima by their distance, those of height ``lowest`` and above.

    Sets the state of each to `KEPT`, `REMOVED`, or `OPEN` if the order of equally high ones decides.
    """
    n_maxima = len(maxima)
    for i in range(n_maxima):
        states[i] = UNSEEN
    while True:
        height = _next_height(trace, maxima, lowest, states)
        if height < lowest:
            return
        for i in range(n_maxima):
            if trace[maxima[i]] == height:
                states[i] = _state_by_higher(trace, maxima, i, distance, states)
        for i in range(n_maxima):
            if trace[maxima[i]] == height and states[i] == KEPT and _has_equal(trace, maxima, i, distance, states):
                states[i] = OPEN


@njit
def _ceil(number: Any) -> Any:
    whole = int(number)
    return whole + 1 if whole < number else whole


@njit
def _integral(trace: Any, first: Any, after: Any) -> Any:
    """Return the sum of absolute samples from ``first`` to before ``after``."""
    total = 0
    for i in range(first, after):
        total += abs(trace[i])
    return total


@njit
def _peaks_of_row(
    trace: Any, distance: Any, min_prominence: Any, max_width: Any, places: Any, integrals: Any, scratch: Any
) -> Any:
    maxima, bounds, states = scratch[0], scratch[1], scratch[2]
    n_maxima = _fill_maxima(trace, maxima)
    least = trace[0]
    for sample in trace:
        least = min(least, sample)
    lowest, n_good = 0, 0
    for i in range(n_maxima):
        height = trace[maxima[i]]
        bounds[i] = NOT_GOOD
        if height - least < min_prominence:
            continue
        prominence, left, right = _prominence(trace, maxima[i])
        if prominence < min_prominence:
            continue
        start, end = _edges(trace, maxima[i], prominence, left, right)
        if 1.0 <= end - start <= max_width:
            bounds[i] = int(start) * len(trace) + _ceil(end)
            lowest = height if n_good == 0 else min(lowest, height)
            n_good += 1
    if n_good == 0:
        return 0
    _choose(trace, maxima[:n_maxima], distance, lowest, states)
    n_peaks = 0
    for i in range(n_maxima):
        if bounds[i] == NOT_GOOD or states[i] == REMOVED:
            continue
        if states[i] == OPEN:
            return UNDECIDED
        places[n_peaks] = maxima[i]
        integrals[n_peaks] = _integral(trace, bounds[i] // len(trace), bounds[i] % len(trace))
        n_peaks += 1
    return n_peaks


@kernel(
    types.void(ROWS, types.float64, types.float64, types.float64, COUNTS, INTEGERS, NUMBERS, SCRATCH),
)
def find_peaks(
    traces: Any,
    distance: Any,
    min_prominence: Any,
    max_width: Any,
    counts: Any,
    places: Any,
    integrals: Any,
    scratch: Any,
) -> Any:
    """Find the peaks of each row.

    Parameters
    ----------
    traces
        int32 (n_rows, n_samples)
    distance
        Of two maxima that are nearer, the higher one is taken; a whole number.
    counts
        Set to the number of peaks of each row; `UNDECIDED`: two equally high maxima compete.
    places, integrals
        Set to the sample and the integral of each peak, shape (n_rows, `MAX_PEAKS`).
    scratch
        int32 (3, n_samples)
    """
    for row in range(traces.shape[0]):
        counts[row] = _peaks_of_row(
            traces[row], distance, min_prominence, max_width, places[row], integrals[row], scratch
        )
