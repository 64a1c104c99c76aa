"""Baselines and peaks of the traces of an event."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft, signal

from std_daq.tpc.electronics import N_TIME_BUCKETS
from std_daq.tpc.reconstruction.parameters import GetParameters
from std_daq.tpc.reconstruction.peak_kernels import (
    MAX_PEAKS,
    REL_HEIGHT,
    UNDECIDED,
    find_peaks,
    split_baselines,
    subtract_baselines,
)

# Rows that are worked on at a time: their samples stay in the cache of a core.
_BLOCK_ROWS = 32


@dataclass(frozen=True, slots=True)
class Peaks:
    """The peaks of an event, row by row.

    Attributes
    ----------
    rows
        Row of the trace, int64.
    centroids
        Time bucket, with a fraction drawn at random.
    amplitudes, integrals
        Height above the baseline, and the sum of absolute samples.
    """

    rows: NDArray[np.int64]
    centroids: NDArray[np.float64]
    amplitudes: NDArray[np.float64]
    integrals: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.rows)


def event_generator(seed: int, event_id: int) -> np.random.Generator:
    """Return the random numbers of an event; they depend on nothing else."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, event_id])))


def remove_baselines(traces: NDArray[np.int16], window_scale: float) -> NDArray[np.int32]:
    """Return traces without their baselines, int32 (n, 512); fractions are cut off.

    A baseline is the trace, without its peaks, under a filter that is a sinc in frequency, so a moving mean in time.
    """
    response = _filter_response(window_scale)
    result = np.empty(traces.shape, np.int32)
    samples, baselines = np.empty((2, min(_BLOCK_ROWS, len(traces)), traces.shape[1]))
    for start in range(0, len(traces), _BLOCK_ROWS):
        rows = slice(start, min(start + _BLOCK_ROWS, len(traces)))
        n_rows = rows.stop - start
        split_baselines(traces[rows], samples[:n_rows], baselines[:n_rows])
        spectrum = fft.rfft(baselines[:n_rows], axis=1)
        spectrum *= response
        smooth = fft.irfft(spectrum, n=traces.shape[1], axis=1, overwrite_x=True)
        subtract_baselines(samples[:n_rows], smooth, result[rows])
    return result


def peaks_of(traces: NDArray[np.int16], parameters: GetParameters, random: np.random.Generator) -> Peaks:
    """Return the peaks of traces, int16 (n, 512), whose amplitude exceeds the threshold.

    A random number is drawn for each peak that is found, whether it exceeds the threshold or not.
    """
    if not len(traces):
        return Peaks(np.empty(0, np.int64), *np.empty((3, 0)))
    rows, places, amplitudes, integrals = _all_peaks(
        remove_baselines(traces, parameters.baseline_window_scale), parameters
    )
    centroids = places + random.random(len(places))
    is_kept = amplitudes > parameters.peak_threshold
    return Peaks(rows[is_kept], centroids[is_kept], amplitudes[is_kept], integrals[is_kept])


@lru_cache(maxsize=8)
def _filter_response(window_scale: float) -> NDArray[np.float64]:
    response: NDArray[np.float64] = np.sinc(np.arange(N_TIME_BUCKETS // 2 + 1) / window_scale)
    response.flags.writeable = False
    return response


def _all_peaks(
    traces: NDArray[np.int32], parameters: GetParameters
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return row, place, amplitude and integral of each peak."""
    counts = np.empty(len(traces), np.int32)
    places = np.empty((len(traces), MAX_PEAKS), np.int32)
    integrals = np.empty((len(traces), MAX_PEAKS))
    scratch = np.empty((3, traces.shape[1]), np.int32)
    find_peaks(
        traces,
        math.ceil(parameters.peak_separation),
        parameters.peak_prominence,
        parameters.peak_max_width,
        counts,
        places,
        integrals,
        scratch,
    )
    for row in np.flatnonzero(counts == UNDECIDED):
        found, sums = _peaks_by_scipy(traces[row], parameters)
        counts[row] = len(found)
        places[row, : len(found)] = found
        integrals[row, : len(found)] = sums
    rows = np.repeat(np.arange(len(traces)), counts)
    columns = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    found_places = places[rows, columns]
    return rows, found_places.astype(float), traces[rows, found_places].astype(float), integrals[rows, columns]


def _peaks_by_scipy(trace: NDArray[np.int32], parameters: GetParameters) -> tuple[NDArray[np.int64], list[int]]:
    """Return the peaks of a trace that has equally high maxima within the distance, and their integrals."""
    found, properties = signal.find_peaks(
        trace,
        distance=parameters.peak_separation,
        prominence=parameters.peak_prominence,
        width=(1.0, parameters.peak_max_width),
        rel_height=REL_HEIGHT,
    )
    edges = zip(properties["left_ips"], properties["right_ips"], strict=True)
    return found, [int(np.abs(trace[math.floor(start) : math.ceil(end)]).sum()) for start, end in edges]
