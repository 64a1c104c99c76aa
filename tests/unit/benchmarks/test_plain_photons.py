"""The engine and the plain loop, which share only the geometry, agree."""

import numpy as np
import pytest

from std_benchmarks.plain_photons import FLAGS, PlainTank
from std_daq.photons.detector import PhotonDetector
from std_daq.photons.sources import isotropic
from std_daq.photons.tanks import GLASS_MM, SMALL, Tank, small_tank, tank_document

N = 40_000
# Few sensors, so that each has many hits; off centre, so that each has another number.
CROWDED = Tank(600, 900, columns=5, rows=2, side=2, pitch=400, reach=np.inf, inset=150, ball=110)


@pytest.fixture(scope="module")
def both():
    document = tank_document(CROWDED)
    document["materials"]["water"]["scattering_length"] = 3000
    document["materials"]["water"]["absorption_length"] = 8000
    document["surfaces"]["black sheet"] = {"absorb": 0.3, "reflect_diffuse": 0.4, "reflect_specular": 0.3}
    document["surfaces"]["photocathode"] = {"detect": 0.3, "absorb": 0.4, "reflect_specular": 0.2}
    photons = isotropic(N, wavelength=420, position=(60, -90, 130), seed=5)
    ended = PhotonDetector.of(document).propagate(photons, seed=1)
    hits = PhotonDetector.of(document).hits(photons, seed=1)
    return ended, hits, PlainTank(document, seed=2).run(photons)


def differs(a, b, variance):
    return abs(a - b) / np.sqrt(variance)


@pytest.mark.parametrize("flag", FLAGS)
def test_each_process_happens_to_as_many_photons(both, flag):
    ended, _, plain = both
    ours, theirs = (np.mean((flags & FLAGS[flag]) != 0) for flags in (ended["flags"], plain.flags))
    share = (ours + theirs) / 2
    assert ours == theirs or differs(ours, theirs, 2 * share * (1 - share) / N) < 4


def test_each_sensor_sees_as_many_photons(both):
    _, hits, plain = both
    ours, theirs = (np.bincount(c, minlength=18) for c in (hits["channel"], plain.channel[plain.channel >= 0]))
    chi_square = np.sum((ours - theirs) ** 2 / (ours + theirs))
    assert ours.min() > 100
    assert chi_square < 18 + 4 * np.sqrt(2 * 18)


def test_photons_arrive_at_the_same_times(both):
    _, hits, plain = both
    theirs = plain.time[plain.channel >= 0]
    edges = np.quantile(theirs, np.linspace(0, 1, 41))
    edges[0], edges[-1] = -np.inf, np.inf
    counts = [np.histogram(times, edges)[0] for times in (hits["time"], theirs)]
    total = [count.sum() for count in counts]
    scaled = (counts[0] * np.sqrt(total[1] / total[0]) - counts[1] * np.sqrt(total[0] / total[1])) ** 2
    assert np.sum(scaled / (counts[0] + counts[1])) < 40 + 4 * np.sqrt(80)
    assert differs(hits["time"].mean(), theirs.mean(), np.var(theirs) * (1 / total[0] + 1 / total[1])) < 4


def test_without_chance_both_end_at_the_same_places():
    document = small_tank()
    for material in document["materials"].values():
        material.pop("absorption_length", None)
        material.pop("scattering_length", None)
        material["refractive_index"] = 1.34
    document["surfaces"]["photocathode"] = {"detect": 1}
    document["surfaces"]["black sheet"] = {"absorb": 1}
    photons = isotropic(5000, wavelength=420, position=(300, -200, 100), seed=9)
    ended, plain = PhotonDetector.of(document).propagate(photons), PlainTank(document).run(photons)
    np.testing.assert_array_equal(ended["flags"], plain.flags)
    np.testing.assert_allclose(np.column_stack([ended[a] for a in "xyz"]), plain.place, atol=1e-3)
    np.testing.assert_allclose(ended["time"], plain.time, rtol=1e-6)
    assert np.count_nonzero(plain.channel >= 0) > 300
    assert SMALL.ball > GLASS_MM
