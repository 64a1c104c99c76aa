"""Joins clusters of which one goes on where the other ends, in z, radius and angle about the axis."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from std_daq.tpc.reconstruction.cluster import Cluster, joined
from std_daq.tpc.reconstruction.parameters import ContinuityJoinParameters

_BEAM_RADIUS_MM = 25.0
_BEAM_MARGIN_MM = 10.0
_Z_MARGIN_MM = 10.0
_MAX_ANGLE_DEG = 45.0
_N_END_POINTS = 3


class _End(NamedTuple):
    """Where a cluster begins or ends: medians over a few points."""

    rho: float
    phi_deg: float
    z: float

    @property
    def is_at_beam(self) -> bool:
        return abs(self.rho - _BEAM_RADIUS_MM) < _BEAM_MARGIN_MM


def join_continuous(
    clusters: list[Cluster], cloud: NDArray[np.float64], parameters: ContinuityJoinParameters
) -> list[Cluster]:
    """Return the clusters, with those joined that go on in each other, ordered by where and how strongly they begin."""

    def rank(cluster: Cluster) -> float:
        return _rank(cloud[cluster.points])

    clusters = sorted(clusters, key=rank)
    while (pair := _first_pair(clusters, cloud, parameters)) is not None:
        i, j = pair
        both = joined([clusters[i], clusters[j]], clusters[i])
        others = [cluster for index, cluster in enumerate(clusters) if index not in pair]
        clusters = sorted([both, *others], key=rank)
    return clusters


def _rank(points: NDArray[np.float64]) -> float:
    return float(points[0, 2] * points[:, 3].mean() * points[:, 7].mean())


def _first_pair(
    clusters: list[Cluster], cloud: NDArray[np.float64], parameters: ContinuityJoinParameters
) -> tuple[int, int] | None:
    for i, one in enumerate(clusters):
        for j, other in enumerate(clusters):
            if i != j and _goes_on(cloud[one.points], cloud[other.points], parameters):
                return i, j
    return None


def _goes_on(one: NDArray[np.float64], other: NDArray[np.float64], parameters: ContinuityJoinParameters) -> bool:
    end, begin = _end_of(one[-_N_END_POINTS:]), _end_of(other[:_N_END_POINTS])
    both = np.concatenate([one, other])
    max_dz = parameters.join_z_fraction * np.ptp(both[:, 2])
    max_drho = parameters.join_radius_fraction * np.ptp(np.hypot(both[:, 0], both[:, 1]))
    dz = abs(end.z - begin.z)
    if not (dz < max_dz and (end.z < begin.z or dz < _Z_MARGIN_MM)):
        return False
    if end.is_at_beam and begin.is_at_beam:
        return True
    angle = abs(end.phi_deg - begin.phi_deg) % 360
    return abs(end.rho - begin.rho) < max_drho and min(angle, 360 - angle) < _MAX_ANGLE_DEG


def _end_of(points: NDArray[np.float64]) -> _End:
    x, y, z = (float(value) for value in np.median(points[:, :3], axis=0))
    return _End(math.hypot(x, y), math.degrees(math.atan2(y, x)), z)
