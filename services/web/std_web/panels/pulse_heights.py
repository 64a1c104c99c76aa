"""PulseHeights: the largest pixels of a telescope's pulse-height images over the last minutes."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

MAX_WINDOW_S = 600.0
_KEPT = 20_000
_BINS = 75


@dataclass(frozen=True, slots=True)
class HeightDistribution:
    """How often which pulse height came.

    Parameters
    ----------
    edges
        Edges of the bins, in ADC units.
    counts
        Images in each bin, by module.
    n_images
        Images that are counted, by module.
    n_skipped
        Images that came to the server and were not sent to the console, by module.
    window_s
        Over how many seconds at most.
    """

    edges: NDArray[np.float64]
    counts: dict[int, NDArray[np.int64]]
    n_images: dict[int, int]
    n_skipped: dict[int, int]
    window_s: float


@dataclass(slots=True)
class _Track:
    """The newest images of one module, in rings of a fixed size."""

    times_s: NDArray[np.float64] = field(default_factory=lambda: np.full(_KEPT, -np.inf))
    heights: NDArray[np.int64] = field(default_factory=lambda: np.zeros(_KEPT, np.int64))
    skipped: NDArray[np.int64] = field(default_factory=lambda: np.zeros(_KEPT, np.int64))
    n: int = 0

    def add(self, now_s: float, height: int, n_skipped: int) -> None:
        place = self.n % _KEPT
        self.times_s[place], self.heights[place], self.skipped[place] = now_s, height, n_skipped
        self.n += 1

    def since(self, begin_s: float) -> NDArray[np.bool_]:
        return self.times_s >= begin_s


class PulseHeights:
    """Keeps the largest pixel of each pulse-height image, the last 20 000 of each module.

    Parameters
    ----------
    clock
        Returns monotonic time in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._tracks: dict[int, _Track] = {}

    def add(self, module_id: int, height: int, n_skipped: int) -> None:
        """Count an image, and those before it that were not sent."""
        self._tracks.setdefault(module_id, _Track()).add(self._clock(), height, n_skipped)

    def clear(self) -> None:
        """Begin anew."""
        self._tracks = {}

    def distribution(self, window_s: float, module_ids: Iterable[int] = ()) -> HeightDistribution:
        """Return the distribution over the last seconds.

        Parameters
        ----------
        window_s
            At most `MAX_WINDOW_S`.
        module_ids
            Modules; none stands for all.
        """
        wanted = frozenset(module_ids)
        begin_s = self._clock() - min(window_s, MAX_WINDOW_S)
        chosen: dict[int, NDArray[np.int64]] = {}
        n_skipped: dict[int, int] = {}
        for module_id, track in sorted(self._tracks.copy().items()):
            if not wanted or module_id in wanted:
                is_recent = track.since(begin_s)
                chosen[module_id] = track.heights[is_recent]
                n_skipped[module_id] = int(track.skipped[is_recent].sum())
        edges = _edges(list(chosen.values()))
        counts = {module_id: np.histogram(heights, edges)[0] for module_id, heights in chosen.items()}
        n_images = {module_id: len(heights) for module_id, heights in chosen.items()}
        return HeightDistribution(edges, counts, n_images, n_skipped, window_s)


def _edges(heights: list[NDArray[np.int64]]) -> NDArray[np.float64]:
    """Return edges of bins of a whole number of ADC units, so that no bin has more values than another."""
    there = [each for each in heights if len(each)]
    low = min((int(each.min()) for each in there), default=0)
    high = max((int(each.max()) for each in there), default=0)
    step = -(-(high - low + 1) // _BINS)
    return low + step * np.arange(-(-(high - low + 1) // step) + 1, dtype=np.float64)
