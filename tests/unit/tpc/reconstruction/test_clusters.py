import math

import numpy as np
import pytest
from sklearn.cluster import HDBSCAN
from sklearn.neighbors import LocalOutlierFactor

from std_daq.tpc.reconstruction.circle import Circle, fit_circle, overlap_area
from std_daq.tpc.reconstruction.cluster import Cluster
from std_daq.tpc.reconstruction.clusters import labels_of, make_clusters
from std_daq.tpc.reconstruction.density_clusters import density_clusters
from std_daq.tpc.reconstruction.outliers import is_outlier
from std_daq.tpc.reconstruction.overlap_join import join_overlapping
from std_daq.tpc.reconstruction.parameters import (
    ClusterParameters,
    ContinuityJoinParameters,
    OverlapJoinParameters,
)


def _cloud(points):
    cloud = np.ones((len(points), 8))
    cloud[:, :3] = points
    return cloud[np.argsort(cloud[:, 2], kind="stable")]


def _spirals(seed=0, n_tracks=3, n_noise=40):
    random = np.random.default_rng(seed)
    parts = [random.uniform((-250, -250, 0), (250, 250, 1000), (n_noise, 3))]
    for _ in range(n_tracks):
        turn = np.linspace(0, random.uniform(2, 9), 200)
        radius = random.uniform(30, 90) * np.exp(-0.05 * turn)
        phase, z0 = random.uniform(0, 2 * np.pi), random.uniform(200, 700)
        parts.append(np.column_stack([radius * np.cos(turn + phase), radius * np.sin(turn + phase), z0 + 25 * turn]))
    points = np.concatenate(parts)
    return _cloud(points + random.normal(0, 1.5, points.shape))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("min_size", "min_samples"), [(10, 3), (30, 5), (2, 1)])
def test_clusters_by_density_are_those_of_scikit_learn(seed, min_size, min_samples):
    points = _spirals(seed)[:, :3]
    wanted = HDBSCAN(min_cluster_size=min_size, min_samples=min_samples, copy=True).fit(points).labels_
    found = density_clusters(points, min_size=min_size, min_samples=min_samples, epsilon=0.0)
    np.testing.assert_array_equal(found, wanted)
    assert found.max() > 0


def test_clusters_that_split_below_a_distance_are_one():
    random = np.random.default_rng(0)
    groups = [random.normal(0, 0.5, (40, 3)) + centre for centre in ((0, 0, 0), (6, 0, 0), (100, 0, 0), (200, 0, 0))]
    points = np.concatenate(groups)
    apart = density_clusters(points, min_size=10, min_samples=3, epsilon=0.0)
    together = density_clusters(points, min_size=10, min_samples=3, epsilon=20.0)
    assert len(set(apart.tolist()) - {-1}) == 4
    assert len(set(together.tolist())) == 3
    assert len(set(together[:80].tolist())) == 1
    # There is no cluster above the one that is born right below the root.
    assert len(set(density_clusters(points, min_size=10, min_samples=3, epsilon=1e6).tolist()) - {-1}) == 2


def test_points_at_one_place_and_too_few_points_are_no_error():
    points = np.concatenate([np.zeros((30, 3)), np.full((30, 3), 50.0)])
    assert set(density_clusters(points, min_size=10, min_samples=3, epsilon=1.0).tolist()) <= {-1, 0, 1}
    assert density_clusters(points[:2], min_size=10, min_samples=3, epsilon=1.0).tolist() == [-1, -1]


@pytest.mark.parametrize("n", [2, 3, 5, 30, 300])
def test_outliers_are_those_of_scikit_learn(n):
    random = np.random.default_rng(n)
    points = random.normal(0, 10, (n, 3))
    points[-1] *= 30
    for n_neighbors in {1, min(2, n - 1), max(1, n // 2), n - 1}:
        wanted = LocalOutlierFactor(n_neighbors=n_neighbors).fit_predict(points) < 0
        np.testing.assert_array_equal(is_outlier(points, n_neighbors), wanted)


def test_a_circle_is_found_from_an_arc():
    angle = np.linspace(0.3, 2.0, 40)
    circle = fit_circle(12 + 80 * np.cos(angle), -30 + 80 * np.sin(angle))
    assert circle == pytest.approx((12, -30, 80))


def test_points_on_a_line_have_no_circle():
    assert not fit_circle(np.arange(10.0), np.zeros(10)).is_known


@pytest.mark.parametrize(
    ("other", "area"),
    [
        (Circle(25, 0, 10), 0.0),
        (Circle(0, 0, 10), math.pi * 100),
        (Circle(1, 0, 5), math.pi * 25),
        (Circle(0, 0, 30), math.pi * 100),
        (Circle(10, 0, 10), 100 * (2 * math.pi / 3 - math.sqrt(3) / 2)),
    ],
)
def test_the_area_of_two_circles_in_common(other, area):
    assert overlap_area(Circle(0, 0, 10), other) == pytest.approx(area)
    assert overlap_area(other, Circle(0, 0, 10)) == pytest.approx(area)


def _arc(first, last, n=40, radius=50.0, centre=(0.0, 0.0), z=0.0):
    angle = np.linspace(first, last, n)
    return np.column_stack([centre[0] + radius * np.cos(angle), centre[1] + radius * np.sin(angle), z + 20 * angle])


def test_arcs_of_one_circle_are_joined_and_others_are_not():
    cloud = np.ones((120, 8))
    cloud[:, :3] = np.concatenate([_arc(0, 2), _arc(3, 5), _arc(0, 4, centre=(200.0, 0.0), z=300.0)])
    clusters = [Cluster(label, np.arange(40 * label, 40 * label + 40)) for label in range(3)]
    joined = join_overlapping(clusters, cloud, OverlapJoinParameters())
    assert [(cluster.label, len(cluster)) for cluster in joined] == [(0, 80), (2, 40)]
    small = join_overlapping(clusters, cloud, OverlapJoinParameters(min_cluster_size_join=41))
    assert [(cluster.label, len(cluster)) for cluster in small] == [(0, 40), (1, 40), (2, 40)]


def test_a_track_that_goes_on_after_a_gap_is_one_cluster():
    points = np.concatenate([_arc(0, 2.0, 100), _arc(2.4, 4.4, 100)])
    cloud = _cloud(points + np.random.default_rng(0).normal(0, 0.3, points.shape))
    apart = ClusterParameters(overlap_join=None, cluster_selection_epsilon=0.0, min_size_lower_cutoff=60)
    assert len(make_clusters(cloud, apart)) == 2
    join = ContinuityJoinParameters(join_radius_fraction=0.6, join_z_fraction=0.3)
    assert len(make_clusters(cloud, apart.model_copy(update={"continuity_join": join}))) == 1
    never = ContinuityJoinParameters(join_radius_fraction=0.6, join_z_fraction=0.0)
    assert len(make_clusters(cloud, apart.model_copy(update={"continuity_join": never}))) == 2


def test_labels_are_those_of_the_clusters_that_points_end_in():
    cloud = _spirals(4)
    clusters = make_clusters(cloud, ClusterParameters())
    labels = labels_of(clusters, len(cloud))
    assert clusters
    for cluster in clusters:
        np.testing.assert_array_equal(np.flatnonzero(labels == cluster.label), cluster.points)
    assert (labels >= -1).all()
    assert make_clusters(cloud[:49], ClusterParameters()) == []
