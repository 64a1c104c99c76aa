"""HistogramSet: all histograms of the same events."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from std_daq.tpc.histograms.definitions import DEFINITIONS, HistogramDefinition

Bins = Mapping[str, NDArray[np.int64]]
"""For each histogram by name, the bins of some estimates; -1 for those outside."""

_COUNT = np.dtype("<u4")


def bins_of(estimates: NDArray[np.void], definitions: tuple[HistogramDefinition, ...] = DEFINITIONS) -> Bins:
    """Return where estimates belong in each histogram."""
    return {one.name: one.bins_of(estimates) for one in definitions}


@dataclass(slots=True)
class Tally:
    """How many events histograms have taken.

    Parameters
    ----------
    n_events
        Events in the histograms.
    n_left_out
        Events that were there, and could not be taken.
    n_estimates
        Estimates of the events.
    """

    n_events: int = 0
    n_left_out: int = 0
    n_estimates: int = 0


class HistogramSet:
    """Histograms that are filled together.

    Attributes
    ----------
    tally
        How many events they have taken, and how many they have not.
    definitions
        What they count.
    counts
        By name, uint32 of the shape of the definition.
    n_outside
        By name, estimates outside of the axes.
    """

    def __init__(self, definitions: tuple[HistogramDefinition, ...] = DEFINITIONS) -> None:
        self.definitions = definitions
        self.tally = Tally()
        self.counts = {one.name: np.zeros(one.shape, _COUNT) for one in definitions}
        self.n_outside = dict.fromkeys(self.counts, 0)

    def add(self, bins: Bins) -> None:
        """Count the estimates of one event, or of several."""
        self._change(bins, 1)

    def subtract(self, bins: Bins) -> None:
        """Take back estimates that were counted."""
        self._change(bins, -1)

    def _change(self, bins: Bins, sign: int) -> None:
        for name, flat in bins.items():
            inside = flat[flat >= 0]
            change = np.add if sign > 0 else np.subtract
            change.at(self.counts[name].reshape(-1), inside, _COUNT.type(1))
            self.n_outside[name] += sign * (len(flat) - len(inside))
