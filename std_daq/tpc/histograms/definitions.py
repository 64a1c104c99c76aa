"""The histograms that a chamber has: particle identification, kinematics, and single observables."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from std_daq.tpc.histograms.axis import Axis


@dataclass(frozen=True, slots=True)
class HistogramDefinition:
    """What a histogram counts.

    Parameters
    ----------
    name
        Part of the entity path in Rerun.
    title
        What stands above it.
    axes
        One axis, or two: the first is that of the rows of the counts.
    """

    name: str
    title: str
    axes: tuple[Axis, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the counts."""
        return tuple(axis.n_bins for axis in self.axes)

    @property
    def n_bins(self) -> int:
        """Number of all bins."""
        return math.prod(self.shape)

    def bins_of(self, estimates: NDArray[np.void]) -> NDArray[np.int64]:
        """Return for each estimate the index of its bin in the flat counts; -1 for what is outside."""
        bins = np.stack([axis.bins_of(estimates) for axis in self.axes])
        is_inside = (bins >= 0).all(axis=0)
        flat = np.full(len(estimates), -1)
        flat[is_inside] = np.ravel_multi_index(tuple(bins[:, is_inside]), self.shape)
        return flat


_BRHO = Axis("brho", "Brho", "T m", 512, 0, 3)
_POLAR = Axis("polar", "polar angle", "degrees", 180, 0, 180, is_angle=True)

PARTICLE_ID = HistogramDefinition(
    "particle_id", "Particle ID", (Axis("sqrt_dEdx", "sqrt(dE/dx)", "", 512, 0, 200), _BRHO)
)
KINEMATICS = HistogramDefinition("kinematics", "Kinematics", (_POLAR, _BRHO))
POLAR_ANGLE = HistogramDefinition("polar_angle", "Polar angle", (_POLAR,))
AZIMUTHAL_ANGLE = HistogramDefinition(
    "azimuthal_angle",
    "Azimuthal angle",
    (Axis("azimuthal", "azimuthal angle", "degrees", 180, 0, 360, is_angle=True),),
)
BRHO = HistogramDefinition("brho", "Brho", (Axis("brho", "Brho", "T m", 300, 0, 3),))
VERTEX_Z = HistogramDefinition("vertex_z", "Vertex", (Axis("vertex_z", "z of the vertex", "mm", 220, -50, 1050),))

DEFINITIONS = (PARTICLE_ID, KINEMATICS, POLAR_ANGLE, AZIMUTHAL_ANGLE, BRHO, VERTEX_Z)
"""All histograms, in the order in which they are shown."""
