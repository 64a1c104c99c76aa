import math

import numpy as np
import pytest

from std_daq.tpc.simulation.tracks import DEUTERON, PROTON, Gas, Track, follow

CHAMBER = {"field_t": 3.0, "length_mm": 1000.0, "radius_mm": 280.0}


def test_rigidity_is_momentum_by_charge() -> None:
    track = Track(PROTON, 4.0, (0, 0, 0), 0.0, 0.0)
    assert track.momentum == pytest.approx(math.sqrt(942.27209**2 - 938.27209**2))
    assert track.brho == pytest.approx(0.28934, abs=1e-4)


def test_radius_of_the_helix_is_that_of_the_rigidity() -> None:
    track = Track(DEUTERON, 5.0, (10.0, -20.0, 300.0), math.radians(70), 0.5)
    points, _ = follow(track, Gas(density_g_cm3=1e-12), **CHAMBER)
    radius = track.brho / 3.0 * math.sin(track.polar) * 1000
    centre = np.array([10.0, -20.0]) + radius * np.array([-math.sin(0.5), math.cos(0.5)])
    np.testing.assert_allclose(np.hypot(*(points[:, :2] - centre).T), radius, rtol=1e-5)
    angles = np.unwrap(np.arctan2(*(points[:, :2] - centre).T[::-1]))
    assert (np.diff(angles) > 0).all()  # anticlockwise seen from +z
    np.testing.assert_allclose(np.diff(points[:, 2]), math.cos(track.polar))


def test_energy_that_is_lost_is_that_of_the_ion() -> None:
    track = Track(PROTON, 1.0, (0.0, 0.0, 500.0), math.radians(90), 0.0)
    points, losses = follow(track, Gas(density_g_cm3=6.6e-4), **CHAMBER)
    assert losses.sum() == pytest.approx(1.0, abs=0.03)
    assert np.argmax(losses) > len(losses) * 0.7  # most is lost at the end
    assert len(points) == len(losses)


def test_smallest_energy_loss_is_that_of_the_tables() -> None:
    """PDG, atomic and nuclear properties of deuterium: 2.053 MeV cm2/g, for heavy particles at beta gamma near 3.5."""
    gas = Gas()
    losses = [gas.energy_loss(PROTON, energy) * 10 / gas.density_g_cm3 for energy in np.geomspace(500, 10_000, 100)]
    assert min(losses) == pytest.approx(2.053, rel=0.03)
    assert gas.energy_loss(PROTON, 2.0) == pytest.approx(gas.energy_loss(DEUTERON, 2.0 * 1.99900), rel=1e-3)  # by beta


def test_track_ends_at_the_walls() -> None:
    points, _ = follow(Track(PROTON, 5.0, (0, 0, 990.0), 0.1, 0.0), Gas(), **CHAMBER)
    assert 980 < points[-1, 2] <= 1000
    points, _ = follow(Track(PROTON, 50.0, (0, 0, 500.0), math.pi / 2, 0.0), Gas(), **CHAMBER)
    assert 278 < np.hypot(*points[-1, :2]) <= 280
