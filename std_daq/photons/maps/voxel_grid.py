"""VoxelGrid: equal cubes that fill a region."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

_ROUNDING = 1e-6  # of a voxel: a region of 4000.0000001 mm has 8 voxels of 500 mm, not 9


@dataclass(frozen=True, slots=True)
class VoxelGrid:
    """Voxels, numbered from 0: z changes fastest, x slowest.

    Parameters
    ----------
    edges
        In mm, ascending, along x, y and z.
    """

    edges: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]

    @classmethod
    def over(cls, region: Sequence[float], voxel_mm: float) -> Self:
        """Fill a region, from its lower corner; the last voxels may reach beyond its upper one.

        Parameters
        ----------
        region
            Lower x, y, z, upper x, y, z, in mm.
        voxel_mm
            Length of the sides.
        """
        x, y, z = (_edges(low, high, voxel_mm) for low, high in zip(region[:3], region[3:], strict=True))
        return cls((x, y, z))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels along x, y and z."""
        x, y, z = (len(edges) - 1 for edges in self.edges)
        return x, y, z

    @property
    def n_voxels(self) -> int:
        """Number of voxels."""
        x, y, z = self.shape
        return x * y * z

    def box_of(self, voxel: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the lower and the upper corner of a voxel."""
        if not 0 <= voxel < self.n_voxels:
            raise ValueError(f"there is no voxel {voxel}; they are 0 to {self.n_voxels - 1}")
        place = np.unravel_index(voxel, self.shape)
        low = np.array([edges[i] for edges, i in zip(self.edges, place, strict=True)])
        high = np.array([edges[i + 1] for edges, i in zip(self.edges, place, strict=True)])
        return low, high

    def voxel_of(self, position: Sequence[float]) -> int:
        """Return the voxel that a position in mm lies in; one on an edge lies in the upper voxel."""
        place = [
            int(np.searchsorted(edges, coordinate, side="right")) - 1
            for edges, coordinate in zip(self.edges, position, strict=True)
        ]
        if not all(0 <= i < n for i, n in zip(place, self.shape, strict=True)):
            raise ValueError(f"{tuple(float(one) for one in position)} lies outside all voxels")
        return int(np.ravel_multi_index(place, self.shape))


def _edges(low: float, high: float, size: float) -> NDArray[np.float64]:
    n = max(1, int(np.ceil((high - low) / size - _ROUNDING)))
    return low + size * np.arange(n + 1, dtype=np.float64)
