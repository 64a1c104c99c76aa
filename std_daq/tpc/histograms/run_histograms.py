"""RunHistograms: the histograms of each of the last runs."""

from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

from std_daq.tpc.histograms.histogram_set import HistogramSet, bins_of

N_RUNS = 4
"""Runs that are kept: events of an older run may still come while those of a newer one do."""


class RunHistograms:
    """Histograms by run; every event is taken, or counted as left out.

    Attributes
    ----------
    n_late
        Events of runs that are no longer kept.
    """

    def __init__(self) -> None:
        self.n_late = 0
        self._sets: OrderedDict[int, HistogramSet] = OrderedDict()

    @property
    def epoch(self) -> int | None:
        """The newest run; None before the first event."""
        return max(self._sets, default=None)

    @property
    def current(self) -> HistogramSet:
        """The histograms of the newest run; empty ones before the first event."""
        epoch = self.epoch
        return HistogramSet() if epoch is None else self._sets[epoch]

    def of_run(self, epoch: int) -> HistogramSet | None:
        """Return the histograms of a run; None if they are no longer kept."""
        return self._sets.get(epoch)

    def add(self, epoch: int, estimates: NDArray[np.void]) -> None:
        """Take an event with its estimates; it may have none."""
        histograms = self._set(epoch)
        if histograms is not None:
            histograms.add(bins_of(estimates))
            histograms.tally.n_events += 1
            histograms.tally.n_estimates += len(estimates)

    def leave_out(self, epoch: int, n_events: int = 1) -> None:
        """Count events that were there and were not analysed."""
        histograms = self._set(epoch)
        if histograms is not None:
            histograms.tally.n_left_out += n_events

    def reset(self) -> None:
        """Begin the newest run's histograms again from 0."""
        epoch = self.epoch
        if epoch is not None:
            self._sets[epoch] = HistogramSet()

    def _set(self, epoch: int) -> HistogramSet | None:
        if epoch not in self._sets:
            if len(self._sets) == N_RUNS and epoch < min(self._sets):
                self.n_late += 1
                return None
            self._sets[epoch] = HistogramSet()
            if len(self._sets) > N_RUNS:
                del self._sets[min(self._sets)]
        return self._sets[epoch]
