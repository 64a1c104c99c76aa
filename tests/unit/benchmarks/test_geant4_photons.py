"""The engine and Geant4, which share only the geometry, agree: hits, hits of each sensor, times."""

from importlib.util import find_spec

import numpy as np
import pytest

from std_benchmarks.geant4_photons import run_geant4
from std_daq.photons.detector import PhotonDetector
from std_daq.photons.pmts import bulb_pmt
from std_daq.photons.sources import isotropic
from std_daq.photons.tanks import SMALL, pmt_tank, tank_document

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(find_spec("geant4_pybind") is None, reason="Geant4 is not installed: pip install geant4-pybind"),
]

N = 300_000


def in_water():
    return tank_document(SMALL)


def around_a_vessel():
    """A ball of scintillator in the tank: light of 380 nm is absorbed there, and some of it emitted again."""
    document = tank_document(SMALL)
    component = {
        "absorption_length": {"wavelength": [395, 400], "value": [700, 1e9]},
        "probability": 0.7,
        "spectrum": {"wavelength": [400, 430, 500], "value": [0.3, 1, 0]},
        "decay_times": [[4.0, 1]],
    }
    document["materials"]["scintillator"] = {
        "refractive_index": {"wavelength": [300, 400, 500, 600], "value": [1.546, 1.507, 1.49, 1.481]},
        "scattering_length": {"wavelength": [350, 600], "value": [9000, 60_000]},
        "reemission": [component],
    }
    for material in ("water", "glass", "scintillator"):
        document["materials"][material]["group_index"] = 1.4
    document["solids"].append({"shape": "sphere", "radius": 900, "inner": "scintillator", "outer": "water"})
    return document


def with_pmts():
    """PMTs of bulb and mirror, whose photocathode lets half of the light through. Geant4 knows no films."""
    document = pmt_tank()
    document["parts"]["sensor"] = bulb_pmt(segments=180)
    document["surfaces"]["photocathode"] = {"detect": 0.3, "absorb": 0.2}
    for material in document["materials"].values():
        material["group_index"] = 1.4
    return document


@pytest.fixture(
    scope="module",
    params=[(in_water, 420), (around_a_vessel, 380), (with_pmts, 420)],
    ids=["water", "vessel", "PMTs"],
)
def both(request):
    make, wavelength = request.param
    document = make()
    photons = isotropic(N, wavelength=wavelength, position=(250, -350, 200), seed=11)
    return PhotonDetector.of(document).hits(photons, seed=3), run_geant4(document, photons)


def test_as_many_photons_are_detected(both):
    ours, theirs = (len(hits) for hits in (both[0], both[1].channel))
    share = (ours + theirs) / 2 / N
    assert abs(ours - theirs) < 4 * np.sqrt(2 * N * share * (1 - share))


def test_each_sensor_detects_as_many(both):
    ours, theirs = (np.bincount(c, minlength=168) for c in (both[0]["channel"], both[1].channel))
    chi_square = np.sum((ours - theirs) ** 2 / np.maximum(ours + theirs, 1))
    assert chi_square < 168 + 4 * np.sqrt(2 * 168)


def test_they_are_detected_at_the_same_times(both):
    ours, theirs = both[0]["time"].astype(float), both[1].time
    assert abs(ours.mean() - theirs.mean()) < 4 * np.sqrt(ours.var() / len(ours) + theirs.var() / len(theirs))
    edges = np.quantile(theirs, np.linspace(0, 1, 41))
    edges[0], edges[-1] = -np.inf, np.inf
    a, b = (np.histogram(times, edges)[0] for times in (ours, theirs))
    ratio = np.sqrt(len(theirs) / len(ours))
    assert np.sum((a * ratio - b / ratio) ** 2 / (a + b)) < 40 + 4 * np.sqrt(80)
