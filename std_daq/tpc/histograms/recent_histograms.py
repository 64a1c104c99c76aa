"""RecentHistograms: the histograms of the last minutes."""

from collections import deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from std_daq.tpc.histograms.histogram_set import Bins, HistogramSet, Tally, bins_of

SLICE_S = 1.0
"""Events leave by seconds, so that the memory does not grow with the rate of events."""


@dataclass(slots=True)
class _Slice:
    """What came within one second."""

    begin_s: float
    tally: Tally = field(default_factory=Tally)
    bins: list[Bins] = field(default_factory=list)

    def join(self) -> None:
        """Keep an array for each histogram, not one for each event."""
        if len(self.bins) > 1:
            names = self.bins[0]
            self.bins = [{name: np.concatenate([one[name] for one in self.bins]) for name in names}]


class RecentHistograms:
    """Histograms of the last minutes, whatever runs there were.

    Parameters
    ----------
    window_s
        How long an event stays.
    """

    def __init__(self, window_s: float) -> None:
        self.window_s = window_s
        self._set = HistogramSet()
        self._slices: deque[_Slice] = deque()

    def current(self, now_s: float) -> HistogramSet:
        """Return the histograms at a time; they change with the next call."""
        self._forget(now_s)
        return self._set

    def add(self, estimates: NDArray[np.void], now_s: float) -> None:
        """Take an event with its estimates; it may have none."""
        bins = bins_of(estimates)
        one = self._slice(now_s)
        self._set.add(bins)
        if len(estimates):
            one.bins.append(bins)
        for tally in (one.tally, self._set.tally):
            tally.n_events += 1
            tally.n_estimates += len(estimates)

    def leave_out(self, now_s: float, n_events: int = 1) -> None:
        """Count events that were there and were not analysed."""
        for tally in (self._slice(now_s).tally, self._set.tally):
            tally.n_left_out += n_events

    def reset(self) -> None:
        """Begin again from 0."""
        self._set = HistogramSet()
        self._slices.clear()

    def _slice(self, now_s: float) -> _Slice:
        self._forget(now_s)
        if not self._slices or now_s >= self._slices[-1].begin_s + SLICE_S:
            if self._slices:
                self._slices[-1].join()
            self._slices.append(_Slice(now_s))
        return self._slices[-1]

    def _forget(self, now_s: float) -> None:
        tally = self._set.tally
        while self._slices and now_s >= self._slices[0].begin_s + SLICE_S + self.window_s:
            old = self._slices.popleft()
            for bins in old.bins:
                self._set.subtract(bins)
            tally.n_events -= old.tally.n_events
            tally.n_left_out -= old.tally.n_left_out
            tally.n_estimates -= old.tally.n_estimates
