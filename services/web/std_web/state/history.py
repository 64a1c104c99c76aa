"""History: figures of the last minutes, in arrays of a fixed size."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray


class History:
    """Figures at points in time, the oldest of which give way to new ones.

    Parameters
    ----------
    names
        Names of the figures.
    n_points
        Points that are kept.
    """

    def __init__(self, names: Sequence[str], n_points: int) -> None:
        self._names = tuple(names)
        self._times: NDArray[np.float64] = np.full(n_points, np.nan)
        self._values: NDArray[np.float64] = np.full((len(self._names), n_points), np.nan)
        self._n = 0

    def add(self, time_s: float, values: Mapping[str, float | None]) -> None:
        """Add a point; a figure that is not given, or None, is unknown there.

        Parameters
        ----------
        time_s
            Seconds since 1970.
        """
        place = self._n % len(self._times)
        self._times[place] = time_s
        given = [values.get(name) for name in self._names]
        self._values[:, place] = [np.nan if value is None else value for value in given]
        self._n += 1

    def since(self, time_s: float) -> tuple[list[float], dict[str, list[float | None]]]:
        """Return the points from a time on, the oldest first: their times, and the values of each figure."""
        n = min(self._n, len(self._times))
        order = np.arange(self._n - n, self._n) % len(self._times)
        order = order[self._times[order] >= time_s]
        columns = {
            name: [None if np.isnan(value) else round(float(value), 6) for value in row]
            for name, row in zip(self._names, self._values[:, order], strict=True)
        }
        return [round(float(time), 3) for time in self._times[order]], columns
