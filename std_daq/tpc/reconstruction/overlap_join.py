"""Joins clusters whose circles overlap: a track that spirals falls into several clusters with one circle."""

import numpy as np
from numpy.typing import NDArray

from std_daq.tpc.reconstruction.circle import Circle, fit_circle, overlap_area, smaller_area
from std_daq.tpc.reconstruction.cluster import Cluster, joined
from std_daq.tpc.reconstruction.parameters import OverlapJoinParameters

_MIN_RADIUS_MM = 10.0


def join_overlapping(
    clusters: list[Cluster], cloud: NDArray[np.float64], parameters: OverlapJoinParameters
) -> list[Cluster]:
    """Return the clusters, with those joined whose circles overlap, again and again until none is."""
    while len(clusters) > 1:
        n_before = len(clusters)
        clusters = _join_once(clusters, cloud, parameters)
        if len(clusters) == n_before:
            break
    return clusters


def _join_once(clusters: list[Cluster], cloud: NDArray[np.float64], parameters: OverlapJoinParameters) -> list[Cluster]:
    """Join by the circles that the clusters have at the beginning; a join is seen by all later pairs."""
    circles = [fit_circle(cloud[cluster.points, 0], cloud[cluster.points, 1]) for cluster in clusters]
    is_large = [
        circle.is_known and len(cluster) >= parameters.min_cluster_size_join
        for cluster, circle in zip(clusters, circles, strict=True)
    ]
    owners = list(range(len(clusters)))
    for i, circle in enumerate(circles):
        if not is_large[i] or circle.radius < _MIN_RADIUS_MM:
            continue
        for j, other in enumerate(circles):
            if not is_large[j] or owners[i] == owners[j] or not _overlap(circle, other, parameters):
                continue
            owners = [owners[i] if owner == owners[j] else owner for owner in owners]
    groups = [
        (clusters[kept], [cluster for cluster, owner in zip(clusters, owners, strict=True) if owner == kept])
        for kept in sorted(set(owners))
    ]
    return [joined(group, kept) for kept, group in groups]


def _overlap(circle: Circle, other: Circle, parameters: OverlapJoinParameters) -> bool:
    return overlap_area(circle, other) > parameters.circle_overlap_ratio * smaller_area(circle, other)
