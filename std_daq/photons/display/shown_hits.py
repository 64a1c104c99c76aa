"""ShownHits: the hits of a run, as a display needs them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from std_daq.errors import ConfigError
from std_daq.photons.event_files import npz_problem


@dataclass(frozen=True, slots=True)
class ShownHits:
    """Hits of one event or of many.

    Parameters
    ----------
    channels
        The channel of each, int64.
    events
        The event of each, int64.
    times
        When each was detected, in ns.
    """

    channels: NDArray[np.int64]
    events: NDArray[np.int64]
    times: NDArray[np.float64]

    @classmethod
    def read(cls, path: Path, n_channels: int) -> Self:
        """Read hits as ``std-sim run`` writes them.

        Raises
        ------
        ConfigError
            The file is of another kind, or of another detector.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                hits = cls(
                    file["channel"].astype(np.int64), file["event_id"].astype(np.int64), file["time"].astype(np.float64)
                )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"no file of hits: {npz_problem(path, error)}", file=path) from error
        if len(hits.channels) and hits.channels.max() >= n_channels:
            raise ConfigError(
                "they are of another detector", file=path, key="channel", value=int(hits.channels.max()),
                remedy=f"the channels of this one are 0 to {n_channels - 1}",
            )  # fmt: skip
        return hits

    @classmethod
    def none(cls) -> Self:
        """Return no hits."""
        return cls(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))

    def of_event(self, event: int) -> Self:
        """Return the hits of one event."""
        chosen = self.events == event
        return type(self)(self.channels[chosen], self.events[chosen], self.times[chosen])

    def by_event(self) -> list[tuple[int, Self]]:
        """Return number and hits of each event that has any, in order of their numbers."""
        return [(int(event), self.of_event(event)) for event in np.unique(self.events)]

    def counts(self, n_channels: int) -> NDArray[np.int64]:
        """Return how many hits each channel has."""
        return np.bincount(self.channels, minlength=n_channels)

    def first_times(self, n_channels: int) -> NDArray[np.float64]:
        """Return when each channel was hit first, in ns; infinity where it was not."""
        first = np.full(n_channels, np.inf)
        np.minimum.at(first, self.channels, self.times)
        return first
