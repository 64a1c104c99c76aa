"""What happened to photons: tallies by process, and the steps of chosen ones."""

import numpy as np
import pytest

from std_daq.photons.detector import PhotonDetector
from std_daq.photons.flags import Flag
from std_daq.photons.sources import beam, isotropic
from std_daq.photons.tanks import small_tank
from std_test_kit.photons import detector, has


@pytest.fixture(scope="module")
def tank():
    document = small_tank()
    document["surfaces"]["black sheet"] = {"absorb": 0.2, "reflect_diffuse": 0.8}
    return PhotonDetector.of(document)


def test_a_tally_counts_each_process(tank):
    photons = isotropic(2000, wavelength=420)
    counts = tank.tally(photons, seed=4)
    ended = tank.propagate(photons, seed=4)
    assert counts["SURFACE_DETECT"] == np.count_nonzero(has(ended, Flag.SURFACE_DETECT)) > 0
    ends = ("NO_HIT", "BULK_ABSORB", "SURFACE_DETECT", "SURFACE_ABSORB", "ALIVE")
    assert sum(counts[name] for name in ends) == 2000


def test_the_steps_of_a_photon_are_those_it_takes_among_all_others(tank):
    photons = isotropic(3000, wavelength=420)
    ended = tank.propagate(photons, seed=2, key=9)
    numbers = [2999, 17, 1500]
    steps = tank.trace(photons, numbers, seed=2, key=9)
    assert np.unique(steps["photon"]).tolist() == sorted(numbers)
    for number in numbers:
        of_photon = steps[steps["photon"] == number]
        assert of_photon["step"].tolist() == list(range(len(of_photon)))
        for name in photons.dtype.names:
            assert of_photon[name][0] == photons[name][number]
            assert of_photon[name][-1] == ended[name][number]
        # A history only grows, and time goes on.
        assert (np.diff(of_photon["time"]) >= 0).all()
        assert (of_photon["flags"][:-1] & ~of_photon["flags"][1:] == 0).all()


def test_a_trace_shows_each_reflection():
    made = detector(
        [{"shape": "box", "size": [10, 10, 10], "surface": "mirror"}],
        surfaces={"mirror": {"reflect_specular": 1}},
        physics={"max_steps": 4},
    )
    steps = made.trace(beam(1, wavelength=420, direction=(0, 0, 1)), [0])
    assert steps["z"].tolist() == [0, 5, -5, 5, -5]
    assert steps["dz"].tolist() == [1, -1, 1, -1, 1]
    assert made.tally(beam(1, wavelength=420, direction=(0, 0, 1)))["ALIVE"] == 1


def test_a_photon_that_comes_ended_has_no_steps(tank):
    photons = isotropic(3, wavelength=420)
    photons["flags"][1] = Flag.SURFACE_ABSORB
    assert tank.trace(photons, [1])["step"].tolist() == [0]


def test_a_photon_that_is_not_there_is_told(tank):
    with pytest.raises(IndexError, match="0 to 2, not 3"):
        tank.trace(isotropic(3, wavelength=420), [0, 3])
    assert len(tank.trace(isotropic(3, wavelength=420), [])) == 0
