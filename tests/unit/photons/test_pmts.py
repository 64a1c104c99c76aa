"""A PMT of bulb, film and mirror: what a beam along its axis meets, by formula."""

import numpy as np
import pytest

from std_daq.photons.detector import PhotonDetector
from std_daq.photons.flags import Flag
from std_daq.photons.pmts import BACK_MM, bulb_pmt, pmt_surfaces
from std_daq.photons.sources import beam
from std_daq.photons.tanks import PMTS, glass, pmt_tank
from std_test_kit.photons import assert_share, has

N = 100_000
WAVELENGTH = 420
WATER = 1.34
AXIS = {"wavelength": WAVELENGTH, "direction": (0, 0, -1), "position": (1, 2, 100)}


def one_pmt(**surfaces):
    """A PMT in clear water."""
    document = {
        "format": "std-sim-geometry",
        "version": 1,
        "materials": {"water": {"refractive_index": WATER}, "glass": glass(), "vacuum": {}},
        "surfaces": pmt_surfaces() | surfaces,
        "solids": [],
        "parts": {"pmt": bulb_pmt()},
        "arrays": [{"part": "pmt", "positions": [[0, 0, 0]], "first_channel": 0}],
    }
    return PhotonDetector.of(document)


def film_reflects(n1, film, n3, thickness):
    """The share that a film reflects at normal incidence."""
    first, second = (n1 - film) / (n1 + film), (film - n3) / (film + n3)
    phase = np.exp(4j * np.pi * film * thickness / WAVELENGTH)
    return abs((first + second * phase) / (1 + first * second * phase)) ** 2


def glass_has(key):
    return np.interp(WAVELENGTH, *(glass()[key][axis] for axis in ("wavelength", "value")))


def behind_the_glass(share, *, reflected):
    """The share of light in water that meets a fate behind flat glass, whose inner side reflects."""
    n, passes = glass_has("refractive_index"), np.exp(-3 / glass_has("absorption_length"))
    outside = ((WATER - n) / (WATER + n)) ** 2
    return share * (1 - outside) * passes / (1 - reflected * passes**2 * outside)


def test_straight_on_it_detects_its_efficiency_of_the_light_that_passes_the_glass():
    film = film_reflects(glass_has("refractive_index"), 2.53 + 1.59j, 1.0, 23)
    expected = behind_the_glass(0.25, reflected=film)
    ended = one_pmt(mirror={"absorb": 1}).propagate(beam(N, **AXIS))
    assert_share(has(ended, Flag.SURFACE_DETECT), expected)


def test_the_mirror_gives_the_film_a_second_chance():
    blind, whole = (one_pmt(**given).hits(beam(N, **AXIS)) for given in ({"mirror": {"absorb": 1}}, {}))
    assert len(whole) > len(blind) + 4 * np.sqrt(len(whole) + len(blind))
    again = whole[(whole["flags"] & np.uint32(Flag.SURFACE_TRANSMIT)) != 0]
    assert len(again) > 1000
    # There and back: not before the light has crossed the bulb twice.
    assert again["time"].min() > (73 + 70 * 2) / 299.792458


def test_from_behind_the_mirror_reflects():
    ended = one_pmt().propagate(beam(N, wavelength=WAVELENGTH, direction=(0, 0, 1), position=(5, 0, -200)))
    assert not has(ended, Flag.SURFACE_DETECT).any()
    assert_share(has(ended, Flag.SURFACE_ABSORB), behind_the_glass(0.1, reflected=0.9))


@pytest.mark.parametrize("segments", [32, 128])
def test_it_is_closed(segments):
    """Light that begins inside ends inside: no ray leaves through an edge between film and mirror."""
    black = {"photocathode": {"reflect_diffuse": 1}, "mirror": {"reflect_diffuse": 1}}
    document = {
        "format": "std-sim-geometry",
        "version": 1,
        "physics": {"max_steps": 50},
        "materials": {"water": {}, "glass": {}, "vacuum": {}},
        "surfaces": black,
        "solids": [],
        "parts": {"pmt": bulb_pmt(segments=segments)},
        "arrays": [{"part": "pmt", "positions": [[0, 0, 0]]}],
    }
    ended = PhotonDetector.of(document).propagate(beam(2000, wavelength=WAVELENGTH, direction=(0.3, 0.2, 1)))
    assert not has(ended, Flag.NO_HIT).any()


def test_no_pmt_of_the_tank_reaches_through_the_wall():
    detector = PhotonDetector.of(pmt_tank())
    assert len(detector.channels.types) == 168
    assert PMTS.inset > BACK_MM
