"""The clusters of a cloud: found by density, joined, and freed of outliers."""

import numpy as np
from numpy.typing import NDArray

from std_daq.tpc.reconstruction.cluster import Cluster
from std_daq.tpc.reconstruction.continuity_join import join_continuous
from std_daq.tpc.reconstruction.density_clusters import density_clusters
from std_daq.tpc.reconstruction.outliers import is_outlier
from std_daq.tpc.reconstruction.overlap_join import join_overlapping
from std_daq.tpc.reconstruction.parameters import ClusterParameters
from std_daq.tpc.reconstruction.results import NOISE

# Points of a track are further apart along the field than across.
_Z_SCALE = 0.584
_MIN_NEIGHBORS = 2


def make_clusters(cloud: NDArray[np.float64], parameters: ClusterParameters) -> list[Cluster]:
    """Return the clusters of a cloud, float64 (N, 8), in the order of ``cluster_index``."""
    if len(cloud) < parameters.min_cloud_size:
        return []
    clusters = _found(cloud, parameters)
    if parameters.continuity_join is not None:
        clusters = join_continuous(clusters, cloud, parameters.continuity_join)
    elif parameters.overlap_join is not None:
        clusters = join_overlapping(clusters, cloud, parameters.overlap_join)
    return [_without_outliers(cluster, cloud, parameters.outlier_scale_factor) for cluster in clusters]


def labels_of(clusters: list[Cluster], n_points: int) -> NDArray[np.int32]:
    """Return the label of the cluster that each point ends in, int32; -1: none."""
    labels = np.full(n_points, NOISE, np.int32)
    for cluster in clusters:
        labels[cluster.points] = cluster.label
    return labels


def _found(cloud: NDArray[np.float64], parameters: ClusterParameters) -> list[Cluster]:
    features = cloud[:, :3] * (1.0, 1.0, _Z_SCALE)
    labels = density_clusters(
        features,
        min_size=max(int(parameters.min_size_scale_factor * len(cloud)), parameters.min_size_lower_cutoff),
        min_samples=parameters.min_points,
        epsilon=parameters.cluster_selection_epsilon,
    )
    return [Cluster(label, np.flatnonzero(labels == label)) for label in range(labels.max(initial=NOISE) + 1)]


def _without_outliers(cluster: Cluster, cloud: NDArray[np.float64], scale_factor: float) -> Cluster:
    if len(cluster) < 2:
        return cluster
    n_neighbors = max(_MIN_NEIGHBORS, int(scale_factor * len(cluster)))
    return Cluster(cluster.label, cluster.points[~is_outlier(cloud[cluster.points, :3], n_neighbors)])
