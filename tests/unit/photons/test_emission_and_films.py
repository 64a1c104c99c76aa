"""The engine against what is known of re-emission, thin films, shifting surfaces and filters."""

import numpy as np
import pytest

from std_daq.photons.flags import Flag
from std_daq.photons.sources import beam, isotropic
from std_test_kit.photons import (
    assert_distribution,
    assert_mean,
    assert_share,
    detector,
    directions,
    has,
    polarisations,
)

N = 100_000
SPECTRUM = {"wavelength": [400, 450, 470, 500], "value": [0, 2, 1, 0]}


def light_up_to(wavelength):
    """The share of `SPECTRUM` up to each wavelength: linear between the points of the trapezoid rule."""
    area = np.cumsum([0, 50, 30, 15])
    return np.interp(wavelength, SPECTRUM["wavelength"], area / area[-1])


def scintillator(**component):
    return {
        "refractive_index": 1.5,
        "absorption_length": 2,
        "reemission": [
            {"absorption_length": 1, "probability": 0.6, "spectrum": SPECTRUM, **component},
            {"absorption_length": 4, "probability": 0, "spectrum": SPECTRUM},
        ],
    }


def one_step(material, wavelength=380):
    """Photons after their first step in a material whose lengths are short."""
    solids = [{"shape": "sphere", "radius": 1e5, "inner": "m"}]
    made = detector(solids, materials={"m": material}, physics={"max_steps": 1})
    return made.propagate(beam(N, wavelength=wavelength, direction=(0, 0, 1)))


def test_components_share_absorption_and_one_emits_again():
    ended = one_step(scintillator())
    # Inverse lengths 1/2, 1 and 1/4: the first component absorbs 4/7, and emits 0.6 of that.
    assert_share(has(ended, Flag.BULK_REEMIT), 4 / 7 * 0.6)
    assert (has(ended, Flag.BULK_REEMIT) ^ has(ended, Flag.BULK_ABSORB)).all()
    assert_mean(ended["z"], 4 / 7)
    emitted = ended[has(ended, Flag.BULK_REEMIT)]
    assert_distribution(emitted["wavelength"], light_up_to(emitted["wavelength"]))
    d, e = directions(emitted), polarisations(emitted)
    for axis in range(3):
        assert_distribution(d[:, axis], (d[:, axis] + 1) / 2)
        assert_mean(e[:, axis] ** 2, 1 / 3)
    np.testing.assert_allclose(np.sum(d * e, axis=1), 0, atol=1e-6)


def delays(**component):
    material = {**scintillator(**component), "refractive_index": 1}
    ended = one_step(material)
    emitted = ended[has(ended, Flag.BULK_REEMIT)]
    return (emitted["time"] - emitted["z"] / 299.792458).astype(np.float64)


def test_re_emission_is_immediate_unless_it_decays():
    np.testing.assert_allclose(delays(), 0, atol=1e-6)


def test_delays_follow_the_decays_by_their_weights():
    t = delays(decay_times=[[2.0, 3], [20.0, 1]])
    assert_distribution(t, 1 - 0.75 * np.exp(-t / 2) - 0.25 * np.exp(-t / 20))


def test_a_rise_time_is_one_more_exponential_delay():
    t = delays(decay_times=[[10.0, 1]], rise_time=2.0)
    assert_distribution(t, 1 - (10 * np.exp(-t / 10) - 2 * np.exp(-t / 2)) / 8)


# Indices, degrees, and R, T, A of s and of p: eta 2.7, k 1.5, 20 nm, light of 420 nm.
FILM = [
    (1.49, 1.0, 0, (0.177701, 0.250757, 0.571542), (0.177701, 0.250757, 0.571542)),
    (1.49, 1.0, 20, (0.189223, 0.223074, 0.587703), (0.159554, 0.275028, 0.565417)),
    (1.49, 1.0, 42, (0.216471, 0.026626, 0.756903), (0.328364, 0.272204, 0.399432)),
    (1.49, 1.0, 60, (0.253338, 0, 0.746662), (0.113801, 0, 0.886199)),
    (1.0, 1.49, 0, (0.345243, 0.250757, 0.404001), (0.345243, 0.250757, 0.404001)),
    (1.0, 1.49, 60, (0.574384, 0.143797, 0.281819), (0.106843, 0.352830, 0.540327)),
]


def on_film(n1, n3, degrees, polarisation, **keys):
    surface = {"model": "thin_film", "eta": 2.7, "k": 1.5, "thickness_nm": 20, **keys}
    made = detector(
        [{"shape": "rectangle", "size": [100, 100], "inner": "a", "outer": "b", "surface": "film"}],
        materials={"a": {"refractive_index": n1}, "b": {"refractive_index": n3}},
        surfaces={"film": surface},
    )
    d = np.sin(np.radians(degrees)), 0, np.cos(np.radians(degrees))
    e = {"s": (0, 1, 0), "p": (d[2], 0, -d[0]), None: None}[polarisation]
    return made.propagate(beam(N, wavelength=420, direction=d, position=(-d[0], 0, -d[2]), polarisation=e))


@pytest.mark.parametrize(("n1", "n3", "degrees", "s", "p"), FILM)
@pytest.mark.parametrize("which", ["s", "p"])
def test_a_thin_film_reflects_transmits_and_absorbs_as_the_airy_sum_says(n1, n3, degrees, s, p, which):
    r, t, a = s if which == "s" else p
    ended = on_film(n1, n3, degrees, which)
    assert_share(has(ended, Flag.REFLECT_SPECULAR), r)
    assert_share(has(ended, Flag.SURFACE_TRANSMIT), t)
    assert_share(has(ended, Flag.SURFACE_ABSORB), a)
    sine = np.sin(np.radians(degrees))
    np.testing.assert_allclose(ended["dx"][has(ended, Flag.SURFACE_TRANSMIT)], sine * n1 / n3, atol=1e-6)
    np.testing.assert_allclose(np.abs(ended["poly"]), 1 if which == "s" else 0, atol=1e-6)


def test_a_film_without_thickness_is_a_plain_border():
    ended = on_film(1.0, 1.5, 60, "s", thickness_nm=0)
    assert_share(has(ended, Flag.REFLECT_SPECULAR), 0.176571)
    assert_share(has(ended, Flag.SURFACE_TRANSMIT), 1 - 0.176571)


def test_the_efficiency_of_a_film_is_per_photon_that_comes_in_straight():
    detected = has(on_film(1.49, 1.0, 0, None, efficiency=0.25), Flag.SURFACE_DETECT)
    assert_share(detected, 0.25)
    detected = has(on_film(1.49, 1.0, 60, "p", efficiency=0.25), Flag.SURFACE_DETECT)
    assert_share(detected, 0.25 * 0.886199 / 0.571542)


def test_the_efficiency_of_a_film_may_be_per_absorbed_photon():
    detected = has(on_film(1.49, 1.0, 0, None, efficiency=0.25, scale_efficiency=False), Flag.SURFACE_DETECT)
    assert_share(detected, 0.25 * 0.571542)


def test_a_film_detects_all_that_it_absorbs_where_its_efficiency_is_more():
    ended = on_film(1.49, 1.0, 0, None, efficiency=0.9)
    assert_share(has(ended, Flag.SURFACE_DETECT), 0.571542)
    assert not has(ended, Flag.SURFACE_ABSORB).any()


def test_an_opaque_film_absorbs_what_it_does_not_reflect():
    ended = on_film(1.49, 1.0, 20, "s", transmissive=False, efficiency=0.4)
    assert_share(has(ended, Flag.REFLECT_SPECULAR), 0.189223)
    absorbed_straight = 1 - 0.177701
    assert_share(has(ended, Flag.SURFACE_DETECT), (1 - 0.189223) * 0.4 / absorbed_straight)
    assert not has(ended, Flag.SURFACE_TRANSMIT).any()


def test_a_rough_film_reflects_diffusely():
    ended = on_film(1.49, 1.0, 20, "s", reflect_diffuse=0.3)
    assert_share(has(ended, Flag.REFLECT_DIFFUSE), 0.189223 * 0.3)
    assert_share(has(ended, Flag.REFLECT_SPECULAR), 0.189223 * 0.7)


def test_a_shifting_surface_emits_to_both_sides():
    surface = {
        "model": "wls",
        "absorb": 0.5,
        "reemit": 0.8,
        "spectrum": SPECTRUM,
        "decay_times": [[3.0, 1]],
        "reflect_diffuse": 0.1,
        "reflect_specular": 0.2,
    }
    made = detector([{"shape": "disc", "radius": 50, "surface": "shifter"}], surfaces={"shifter": surface})
    ended = made.propagate(beam(N, wavelength=380, direction=(0, 0, 1), position=(0, 0, -1)))
    assert_share(has(ended, Flag.SURFACE_REEMIT), 0.4)
    assert_share(has(ended, Flag.SURFACE_ABSORB), 0.1)
    assert_share(has(ended, Flag.REFLECT_DIFFUSE), 0.1)
    assert_share(has(ended, Flag.REFLECT_SPECULAR), 0.2)
    assert_share(has(ended, Flag.SURFACE_TRANSMIT), 0.2)
    emitted = ended[has(ended, Flag.SURFACE_REEMIT)]
    assert_share(emitted["dz"] > 0, 0.5)
    assert_distribution(emitted["wavelength"], light_up_to(emitted["wavelength"]))
    t = (emitted["time"] - 1 / 299.792458).astype(np.float64)
    assert_distribution(t, 1 - np.exp(-t / 3))


@pytest.mark.parametrize(
    ("degrees", "wavelength", "reflected", "transmitted"),
    [(0, 400, 0.1, 0.7), (30, 400, 0.3, 0.5), (30, 425, 0.325, 0.4625), (60, 500, 0.7, 0.0), (80, 450, 0.6, 0.15)],
)
def test_a_dichroic_filter_takes_its_shares_from_angle_and_wavelength(degrees, wavelength, reflected, transmitted):
    surface = {
        "model": "dichroic",
        "angles": [0, 60],
        "reflect": [0.1, {"wavelength": [400, 500], "value": [0.5, 0.7]}],
        "transmit": [{"wavelength": [400, 500], "value": [0.7, 0.7]}, {"wavelength": [400, 500], "value": [0.3, 0.0]}],
    }
    made = detector([{"shape": "disc", "radius": 50, "surface": "filter"}], surfaces={"filter": surface})
    d = np.sin(np.radians(degrees)), 0, np.cos(np.radians(degrees))
    ended = made.propagate(beam(N, wavelength=wavelength, direction=d, position=(-d[0], 0, -d[2])))
    assert_share(has(ended, Flag.REFLECT_SPECULAR), reflected)
    assert_share(has(ended, Flag.SURFACE_TRANSMIT), transmitted)
    assert_share(has(ended, Flag.SURFACE_ABSORB), 1 - reflected - transmitted)


def test_a_filter_of_one_angle_is_the_same_at_all():
    surface = {"model": "dichroic", "angles": [0], "reflect": [0.25], "transmit": [0.75]}
    made = detector([{"shape": "sphere", "radius": 50, "surface": "filter"}], surfaces={"filter": surface})
    ended = made.propagate(isotropic(N, wavelength=400))
    assert_share(has(ended, Flag.REFLECT_SPECULAR), 0.25)
    assert has(ended, Flag.SURFACE_TRANSMIT).all()


def test_a_default_surface_draws_once_and_passes_the_rest_on():
    surface = {"absorb": 0.1, "detect": 0.2, "reflect_diffuse": 0.15, "reflect_specular": 0.25}
    made = detector([{"shape": "disc", "radius": 50, "surface": "paint"}], surfaces={"paint": surface})
    ended = made.propagate(beam(N, wavelength=400, direction=(0, 0, 1), position=(0, 0, -1)))
    for flag, share in zip(
        (Flag.SURFACE_ABSORB, Flag.SURFACE_DETECT, Flag.REFLECT_DIFFUSE, Flag.REFLECT_SPECULAR),
        surface.values(),
        strict=True,
    ):
        assert_share(has(ended, flag), share)
    assert_share(ended["flags"] == Flag.NO_HIT, 0.3)
