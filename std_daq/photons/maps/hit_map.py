"""HitMap: reads a map that ``std-sim map`` has made, or is making.

::

    with HitMap("map.h5") as hit_map:
        p = hit_map.probability((0, 0, 1500))       # of each channel, for light from this place
        error = hit_map.standard_error((0, 0, 1500))
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from std_daq.errors import HDF5_ERRORS, FileFormatError
from std_daq.hdf5 import open_growing
from std_daq.photons.backend import Channels
from std_daq.photons.maps import map_format
from std_daq.photons.maps.voxel_grid import VoxelGrid

Where: TypeAlias = int | Sequence[float]
"""The number of a voxel, or a position in mm."""


class HitMap:
    """A map of hit probabilities; a context manager.

    A position means the voxel that it lies in: nothing is interpolated. What is asked of a voxel that has not been
    simulated yet is NaN.

    Parameters
    ----------
    path
        The file.

    Attributes
    ----------
    grid
        The voxels.
    channels
        The light sensors.

    Raises
    ------
    FileFormatError
        The file is no map, or damaged.
    """

    def __init__(self, path: Path | str) -> None:
        try:
            self._file = open_growing(Path(path), locking=False)
        except FileNotFoundError:
            raise FileFormatError(f"{path}: there is no such file") from None
        except HDF5_ERRORS as error:
            raise FileFormatError(f"{path}: the map cannot be read: {error}") from error
        try:
            map_format.check_format(self._file, path)
            x, y, z = (self._file[name][:] for name in map_format.EDGES)
            self.grid = VoxelGrid((x, y, z))
            self.channels = Channels(self._file[map_format.POSITIONS][:], self._file[map_format.TYPES][:])
        except BaseException as error:
            self._file.close()
            if isinstance(error, HDF5_ERRORS):
                raise FileFormatError(f"{path}: the map is damaged: {error}") from error
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @property
    def n_photons(self) -> NDArray[np.uint64]:
        """Photons of each voxel; 0 where it has not been simulated yet."""
        numbers = self._file[map_format.N_PHOTONS]
        numbers.refresh()
        found: NDArray[np.uint64] = numbers[:]
        return found

    def counts(self, where: Where) -> NDArray[np.uint32]:
        """Return the hits of each channel; all 0 where the voxel has not been simulated yet."""
        counts = self._row(map_format.COUNTS, where).astype(np.uint32)
        return counts if self._n_photons(where) else np.zeros_like(counts)

    def probability(self, where: Where) -> NDArray[np.float64]:
        """Return how likely a photon from a voxel is a hit of each channel: hits / photons."""
        n = self._n_photons(where)
        return self._row(map_format.COUNTS, where) / n if n else self._unknown()

    def standard_error(self, where: Where) -> NDArray[np.float64]:
        """Return the standard error of each probability: the root of p (1 - p) / n.

        It is 0 where a channel has no hit. That p is below 3 / n with 95 % confidence is all that is known there.
        """
        p, n = self.probability(where), self._n_photons(where)
        return np.sqrt(p * (1 - p) / n) if n else p

    def mean_time(self, where: Where) -> NDArray[np.float64]:
        """Return the mean time from start to hit in ns for each channel; NaN where it has no hits."""
        return self._mean(map_format.TIME_SUM, where)

    def time_spread(self, where: Where) -> NDArray[np.float64]:
        """Return the standard deviation of these times in ns; NaN where a channel has no hits."""
        variance = self._mean(map_format.TIME_SQUARE_SUM, where) - self.mean_time(where) ** 2
        return np.sqrt(np.maximum(variance, 0.0))

    def voxel(self, where: Where) -> int:
        """Return the number of a voxel; raises ValueError for a place outside all of them."""
        if isinstance(where, int | np.integer):
            self.grid.box_of(int(where))
            return int(where)
        return self.grid.voxel_of(where)

    def _n_photons(self, where: Where) -> int:
        numbers = self._file[map_format.N_PHOTONS]
        numbers.refresh()
        return int(numbers[self.voxel(where)])

    def _row(self, name: str, where: Where) -> NDArray[np.float64]:
        dataset = self._file[name]
        dataset.refresh()
        return np.asarray(dataset[self.voxel(where)], np.float64)

    def _mean(self, name: str, where: Where) -> NDArray[np.float64]:
        counts = self.counts(where)
        total = self._row(name, where)
        return np.divide(total, counts, out=self._unknown(), where=counts > 0)

    def _unknown(self) -> NDArray[np.float64]:
        return np.full(len(self.channels.types), np.nan)
