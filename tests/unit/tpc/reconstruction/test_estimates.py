import math

import numpy as np
import pytest

from std_daq.tpc.reconstruction.circle import Circle
from std_daq.tpc.reconstruction.cluster import Cluster
from std_daq.tpc.reconstruction.estimates import estimate_track, make_estimates, nearest_to_axis
from std_daq.tpc.reconstruction.parameters import DetectorParameters, EstimateParameters

B = 2.0
DETECTOR = DetectorParameters(magnetic_field=B)


def _helix(polar_deg, azimuth_deg, radius=120.0, z=400.0, n=150, turn=1.4, charge=50.0):
    """Return rows of a cloud: an ion that leaves the axis anticlockwise, seen from +z."""
    polar, azimuth = math.radians(polar_deg), math.radians(azimuth_deg)
    angle = np.linspace(0.0, turn, n)
    centre = azimuth + math.pi / 2
    points = np.zeros((n, 8))
    points[:, 0] = radius * (math.cos(centre) + np.cos(centre + math.pi + angle))
    points[:, 1] = radius * (math.sin(centre) + np.sin(centre + math.pi + angle))
    points[:, 2] = z + radius * angle / math.tan(polar)
    points[:, 4] = charge
    return points[np.argsort(points[:, 2])]


@pytest.mark.parametrize("polar_deg", [35, 60, 120, 150])
@pytest.mark.parametrize("azimuth_deg", [10, 100, 200, 300])
def test_a_helix_gives_its_rigidity_angles_and_vertex(polar_deg, azimuth_deg):
    found = estimate_track(_helix(polar_deg, azimuth_deg), DETECTOR, 1.0)
    assert found is not None
    # The line of the distance from the vertex is a chord, which is shorter than the arc.
    assert math.degrees(found["polar"]) == pytest.approx(polar_deg, abs=3)
    assert found["brho"] == pytest.approx(B * 0.12 / math.sin(math.radians(polar_deg)), rel=0.05)
    assert math.degrees(found["azimuthal"]) % 360 == pytest.approx(azimuth_deg, abs=1)
    assert (found["vertex_x"], found["vertex_y"]) == pytest.approx((0, 0), abs=0.5)
    assert found["vertex_z"] == pytest.approx(400, abs=6)
    assert found["direction"] == (0 if polar_deg < 90 else 1)
    assert found["dEdx"] == pytest.approx(found["dE"] / found["arclength"])
    assert found["sqrt_dEdx"] ** 2 == pytest.approx(found["dEdx"])


def test_energy_loss_ends_where_the_pads_get_larger():
    points = _helix(60, 20)
    found = estimate_track(points, DETECTOR, 1.0)
    rho = np.hypot(points[:, 0], points[:, 1])
    n_within = int((rho <= 152).sum())
    assert n_within < len(points)
    assert found["dE"] == pytest.approx(50 * n_within, rel=1e-3)
    step = np.linalg.norm(np.diff(points[:, :3], axis=0), axis=1)[0]
    assert found["arclength"] == pytest.approx(step * n_within, rel=0.02)


@pytest.mark.parametrize(("x", "y", "radius"), [(100, 0, 99.0), (-30, 70, 80.0), (0, -50, 49.0), (-60, -1e-3, 58.0)])
def test_the_vertex_is_the_nearest_of_100000_points(x, y, radius):
    angles = np.linspace(0, 2 * np.pi, 100_000)
    all_x, all_y = x + radius * np.cos(angles), y + radius * np.sin(angles)
    best = np.argmin(np.hypot(all_x, all_y))
    assert nearest_to_axis(Circle(x, y, radius)) == pytest.approx((all_x[best], all_y[best]), abs=1e-9)


def _straight(n=60):
    points = _helix(60, 20, n=n)
    points[:, 1] = 0.0
    points[:, 0] = np.linspace(0, 100, n)
    return points


def _far_from_axis():
    points = _helix(60, 20)
    points[:, 0] += 300
    return points


def _equal_z():
    points = _helix(60, 20)
    points[5, 2] = points[4, 2]
    return points


@pytest.mark.parametrize("points", [_far_from_axis(), _equal_z(), _helix(60, 20, n=4), _helix(60, 20)[:1]])
def test_what_is_no_track_from_the_axis_has_no_estimate(points):
    assert estimate_track(points, DETECTOR, 100.0) is None


def test_a_straight_track_does_not_fail():
    found = estimate_track(_straight(), DETECTOR, 1e9)
    assert found is None or math.isfinite(found["brho"])


def test_estimates_count_clusters_in_their_order():
    tracks = [_helix(60, 20), _helix(50, 100)[:20], _helix(130, 200)]
    cloud = np.concatenate(tracks)
    ends = np.cumsum([len(track) for track in tracks])
    clusters = [
        Cluster(label, np.arange(end - len(track), end))
        for label, track, end in zip((4, 2, 7), tracks, ends, strict=True)
    ]
    estimates = make_estimates(cloud, clusters, 12, DETECTOR, EstimateParameters(smoothing_factor=1.0))
    assert estimates["cluster_index"].tolist() == [0, 2]
    assert estimates["cluster_label"].tolist() == [4, 7]
    assert set(estimates["event"]) == {12}
    assert set(estimates["ic_multiplicity"]) == {-1}
    assert set(estimates["orig_run"]) == {-1}
