"""The engine against what is known of simple cases: absorption, time, borders, mirrors, closed balls."""

import numpy as np
import pytest

from std_daq.photons.flags import TERMINAL, Flag
from std_daq.photons.sources import beam, isotropic
from std_test_kit.photons import (
    LIGHT_SPEED,
    assert_distribution,
    assert_mean,
    assert_share,
    detector,
    directions,
    has,
    polarisations,
)

N = 100_000
UP = (0, 0, 1)
BLACK = {"black": {"absorb": 1}}

# Incidence in degrees, reflected shares of s and p.
INTO_GLASS = [
    (0, 0.040000, 0.040000),
    (30, 0.057796, 0.025249),
    (45, 0.092013, 0.008466),
    (56.309932, 0.147929, 0),
    (60, 0.176571, 0.001802),
    (80, 0.538595, 0.236814),
]
OUT_OF_GLASS = [(20, 0.059063, 0.024394), (35, 0.171086, 0.001190), (40, 0.390518, 0.100064), (42, 1, 1), (80, 1, 1)]


def at_angle(degrees):
    """A direction upwards in the plane of x and z."""
    return np.sin(np.radians(degrees)), 0, np.cos(np.radians(degrees))


def polarised(degrees, which):
    """The polarisation s or p of light in the plane of x and z."""
    return (0, 1, 0) if which == "s" else (np.cos(np.radians(degrees)), 0, -np.sin(np.radians(degrees)))


def slab(length, material):
    """A block whose upper face is black, and photons at its lower face."""
    solids = [{"shape": "box", "size": [1000, 1000, length], "inner": "m", "surface": "black"}]
    made = detector(solids, materials={"m": material}, surfaces=BLACK)
    return made.propagate(beam(N, wavelength=420, direction=UP, position=(0, 0, -length / 2 + 1e-3)))


def test_a_slab_absorbs_by_the_law_of_lambert():
    assert_share(has(slab(100, {"absorption_length": 50}), Flag.SURFACE_ABSORB), np.exp(-2))


def test_scattering_and_absorption_share_the_first_interaction():
    ended = slab(100, {"absorption_length": 150, "scattering_length": 75})
    is_direct = has(ended, Flag.SURFACE_ABSORB) & ~has(ended, Flag.RAYLEIGH_SCATTER)
    assert_share(is_direct, np.exp(-100 / 150 - 100 / 75))
    met = ended[~is_direct]
    assert_share(has(met, Flag.BULK_ABSORB) & ~has(met, Flag.RAYLEIGH_SCATTER), 75 / (150 + 75))


@pytest.mark.parametrize(("velocity", "index"), [("group", 1.4 + 0.001 * 400), ("phase", 1.4 - 0.001 * 20)])
def test_light_travels_with_the_group_index_unless_told_otherwise(velocity, index):
    # n = 1.4 - 0.001 (w - 400) has the group index 1.4 + 0.001 * 400 everywhere.
    table = {"wavelength": [300, 400, 500], "value": [1.5, 1.4, 1.3]}
    solids = [{"shape": "sphere", "radius": 1000, "inner": "m", "surface": "black"}]
    made = detector(
        solids, materials={"m": {"refractive_index": table}}, surfaces=BLACK, physics={"velocity": velocity}
    )
    ended = made.propagate(isotropic(100, wavelength=420, time=3))
    np.testing.assert_allclose(ended["time"], 3 + 1000 * index / LIGHT_SPEED, rtol=1e-6)


def test_a_given_group_index_is_taken():
    solids = [{"shape": "sphere", "radius": 1000, "inner": "m", "surface": "black"}]
    made = detector(solids, materials={"m": {"refractive_index": 1.3, "group_index": 1.5}}, surfaces=BLACK)
    np.testing.assert_allclose(
        made.propagate(isotropic(10, wavelength=420))["time"], 1000 * 1.5 / LIGHT_SPEED, rtol=1e-6
    )


@pytest.mark.parametrize("shape", ["rectangle", "mesh"])
@pytest.mark.parametrize("which", ["s", "p"])
@pytest.mark.parametrize(
    ("indices", "degrees", "expected"),
    [
        *(((1.0, 1.5), degrees, {"s": s, "p": p}) for degrees, s, p in INTO_GLASS),
        *(((1.5, 1.0), degrees, {"s": s, "p": p}) for degrees, s, p in OUT_OF_GLASS),
    ],
)
def test_a_border_reflects_as_fresnel_says(shape, which, indices, degrees, expected):
    plane = {"shape": "rectangle", "size": [1000, 1000]}
    if shape == "mesh":
        corners = [[-500, -500, 0], [500, -500, 0], [500, 500, 0], [-500, 500, 0]]
        plane = {"shape": "mesh", "vertices": corners, "triangles": [[0, 1, 2], [0, 2, 3]]}
    made = detector(
        [{**plane, "inner": "below", "outer": "above"}],
        materials={name: {"refractive_index": n} for name, n in zip(("below", "above"), indices, strict=True)},
    )
    d = at_angle(degrees)
    ended = made.propagate(
        beam(N, wavelength=420, direction=d, position=(-d[0], 3, -d[2]), polarisation=polarised(degrees, which))
    )
    is_reflected = has(ended, Flag.REFLECT_SPECULAR)
    assert_share(is_reflected, expected[which])
    np.testing.assert_allclose(ended["dz"][is_reflected], -d[2], atol=1e-6)
    sine = indices[0] / indices[1] * d[0]
    np.testing.assert_allclose(ended["dx"][~is_reflected], sine, atol=1e-6)
    np.testing.assert_allclose(np.abs(ended["poly"]), 1.0 if which == "s" else 0.0, atol=1e-6)


def test_unpolarised_light_is_polarised_across_the_plane_by_reflection_at_brewsters_angle():
    made = detector(
        [{"shape": "rectangle", "size": [1000, 1000], "outer": "glass"}], materials={"glass": {"refractive_index": 1.5}}
    )
    d = at_angle(56.309932)
    ended = made.propagate(beam(N, wavelength=420, direction=d, position=(-d[0], 0, -d[2])))
    reflected = ended[has(ended, Flag.REFLECT_SPECULAR)]
    assert_share(has(ended, Flag.REFLECT_SPECULAR), 0.147929 / 2)
    np.testing.assert_allclose(np.abs(reflected["poly"]), 1, atol=1e-6)


def test_a_clear_slab_lets_through_what_its_two_faces_leave():
    block = {"shape": "box", "size": [1000, 1000, 10], "inner": "glass"}
    made = detector([block], materials={"glass": {"refractive_index": 1.5}})
    ended = made.propagate(beam(N, wavelength=420, direction=UP, position=(0, 0, -50)))
    assert (has(ended, Flag.NO_HIT)).all()
    assert_share(ended["dz"] > 0, 0.96 / 1.04)


def test_light_is_parallel_behind_a_slab_and_takes_the_time_of_the_longer_way():
    block = {"shape": "box", "size": [1000, 1000, 10], "inner": "glass"}
    made = detector([block], materials={"glass": {"refractive_index": 1.5}})
    d = at_angle(50)
    ended = made.propagate(beam(2000, wavelength=420, direction=d, position=(0, 0, -5 - d[2])))
    ended = ended[~has(ended, Flag.REFLECT_SPECULAR)]
    np.testing.assert_allclose(directions(ended), np.tile(d, (len(ended), 1)), atol=1e-6)
    way = 10 / np.sqrt(1 - (d[0] / 1.5) ** 2)
    np.testing.assert_allclose(ended["time"], (1 + 1.5 * way) / LIGHT_SPEED, rtol=1e-5)


def test_light_at_45_degrees_never_leaves_a_cuboid_of_glass():
    block = {"shape": "box", "size": [100, 80, 60], "inner": "glass"}
    made = detector([block], materials={"glass": {"refractive_index": 1.5}})
    ended = made.propagate(beam(500, wavelength=420, direction=(1, 1, 0), position=(3, 5, 7)))
    assert not (ended["flags"] & np.uint32(TERMINAL)).any()


@pytest.mark.parametrize("inverse", [False, True])
def test_rayleigh_scattering_has_the_moments_of_a_dipole(inverse):
    solids = [{"shape": "sphere", "radius": 1e6, "inner": "m"}]
    made = detector(solids, materials={"m": {"scattering_length": 1}}, physics={"max_steps": 1})
    begun = beam(N, wavelength=420, direction=(1, 0, 0), polarisation=None if inverse else (0, 1, 0))
    ended = made.propagate(begun)
    assert has(ended, Flag.RAYLEIGH_SCATTER).all()
    d, e = directions(ended), polarisations(ended)
    c = np.sum(d * polarisations(begun), axis=1)
    assert_mean(c**2, 1 / 5)
    assert_mean(c**4, 3 / 35)
    assert_distribution(c, (2 + 3 * c - c**3) / 4)
    along = d[:, 0]
    if inverse:
        assert_mean(along**2, 2 / 5)
        assert_distribution(along, (4 + 3 * along + along**3) / 8)
    np.testing.assert_allclose(np.sum(d * e, axis=1), 0, atol=1e-6)
    # The new polarisation lies in the plane of the new direction and the old polarisation.
    across = np.cross(d, polarisations(begun))
    np.testing.assert_allclose(np.sum(across * e, axis=1), 0, atol=1e-6)


@pytest.mark.parametrize("shape", ["disc", "mesh"])
def test_a_disc_sees_its_solid_angle(shape):
    radius, distance, facets = 100, 150, 500
    expected = (1 - distance / np.hypot(distance, radius)) / 2
    solid = {"shape": "disc", "radius": radius}
    if shape == "mesh":
        turns = 2 * np.pi * np.arange(facets) / facets
        rim = np.column_stack([radius * np.cos(turns), radius * np.sin(turns), 0 * turns])
        triangles = [[0, i + 1, (i + 1) % facets + 1] for i in range(facets)]
        solid = {"shape": "mesh", "vertices": [[0, 0, 0], *rim.tolist()], "triangles": triangles}
    made = detector(
        [{**solid, "position": [distance, 0, 0], "direction": [-1, 0, 0], "surface": "eye", "channel": 0}],
        surfaces={"eye": {"detect": 1}},
    )
    assert_share(has(made.propagate(isotropic(N, wavelength=420)), Flag.SURFACE_DETECT), expected)


def test_a_ball_sees_its_solid_angle():
    made = detector(
        [{"shape": "sphere", "radius": 100, "position": [0, 150, 0], "surface": "eye", "channel": 0}],
        surfaces={"eye": {"detect": 1}},
    )
    ended = made.propagate(isotropic(N, wavelength=420))
    assert_share(has(ended, Flag.SURFACE_DETECT), (1 - np.sqrt(1 - (100 / 150) ** 2)) / 2)


def test_each_face_of_a_cube_sees_a_sixth_at_the_right_time():
    names = ["+x", "-x", "+y", "-y", "+z", "-z"]
    cube = {
        "shape": "box",
        "size": [800, 800, 800],
        "surface": "eye",
        "faces": {name: {"channel": i} for i, name in enumerate(names)},
    }
    made = detector([cube], surfaces={"eye": {"detect": 1}})
    hits = made.hits(isotropic(N, wavelength=420))
    assert len(hits) == N
    d = directions(hits)
    for channel, name in enumerate(names):
        assert_share(hits["channel"] == channel, 1 / 6)
        axis = "xyz".index(name[1])
        seen = d[hits["channel"] == channel]
        assert (np.argmax(np.abs(seen), axis=1) == axis).all()
        assert (np.sign(seen[:, axis]) == (1 if name[0] == "+" else -1)).all()
    np.testing.assert_allclose(hits["time"], 400 / np.abs(d).max(axis=1) / LIGHT_SPEED, rtol=1e-5)


def test_a_white_ball_is_seen_and_takes_time_as_the_geometric_series_says():
    radius, a, b = 500, 0.05, 0.15
    rho = 1 - a - b
    made = detector(
        [{"shape": "sphere", "radius": radius, "surface": "paint", "channel": 0}],
        surfaces={"paint": {"absorb": a, "detect": b, "reflect_diffuse": rho}},
    )
    begun = isotropic(N, wavelength=420)
    ended = made.propagate(begun)
    assert not has(ended, Flag.NO_HIT).any()
    assert_share(has(ended, Flag.SURFACE_DETECT), b / (a + b))
    assert_share(~has(ended, Flag.REFLECT_DIFFUSE), 1 - rho)
    assert_mean(ended["time"], (radius + rho / (1 - rho) * 4 * radius / 3) / LIGHT_SPEED)


def test_diffuse_reflection_follows_lambert():
    made = detector(
        [{"shape": "disc", "radius": 100, "surface": "paint"}],
        surfaces={"paint": {"reflect_diffuse": 1}},
        physics={"max_steps": 1},
    )
    ended = made.propagate(beam(N, wavelength=420, direction=at_angle(70), position=(0, 0, -1e-3)))
    assert has(ended, Flag.REFLECT_DIFFUSE).all()
    cosine = -ended["dz"].astype(np.float64)
    assert_distribution(cosine, cosine**2)
    assert_mean(ended["dx"], 0)
    np.testing.assert_allclose(np.sum(directions(ended) * polarisations(ended), axis=1), 0, atol=1e-6)


@pytest.mark.parametrize("degrees", [0, 1e-7, 37, 89])
def test_a_mirror_mirrors_direction_and_polarisation(degrees):
    made = detector(
        [{"shape": "disc", "radius": 100, "surface": "mirror"}], surfaces={"mirror": {"reflect_specular": 1}}
    )
    begun = beam(100, wavelength=420, direction=at_angle(degrees), position=(0, 0, -1e-3))
    ended = made.propagate(begun)
    assert (ended["flags"] == Flag.REFLECT_SPECULAR | Flag.NO_HIT).all()
    np.testing.assert_allclose(directions(ended), directions(begun) * [1, 1, -1], atol=1e-6)
    np.testing.assert_allclose(polarisations(ended), polarisations(begun) * [1, 1, -1], atol=1e-6)


BALLS = {
    "sphere": {"shape": "sphere", "radius": 500},
    "cylinder": {"shape": "cylinder", "radius": 500, "height": 700},
    "box": {"shape": "box", "size": [500, 600, 700]},
    "revolved": {"shape": "revolved", "profile": [[0, -300], [400, -200], [300, 200], [0, 250]]},
}


@pytest.mark.parametrize("name", BALLS)
@pytest.mark.parametrize("how", ["reflect_specular", "reflect_diffuse"])
@pytest.mark.parametrize("place", [(0, 0, 0), (20_000, -30_000, 7_000)])
def test_no_photon_leaves_a_closed_mirror(name, how, place):
    made = detector(
        [{**BALLS[name], "position": place, "direction": [1, 2, 3], "surface": "mirror"}],
        surfaces={"mirror": {how: 0.99, "absorb": 0.01}},
    )
    ended = made.propagate(isotropic(3000, wavelength=420, position=(place[0] + 10, place[1] - 20, place[2] + 30)))
    assert not has(ended, Flag.NO_HIT).any()
    assert has(ended, Flag.SURFACE_ABSORB).mean() > 0.999


def test_photons_that_cannot_fly_are_told_and_detect_nothing():
    made = detector(
        [{"shape": "sphere", "radius": 10, "surface": "eye", "channel": 0}], surfaces={"eye": {"detect": 1}}
    )
    photons = isotropic(14, wavelength=420)
    names = ("x", "y", "z", "dx", "dy", "dz", "polx", "poly", "polz", "wavelength", "time")
    for i, name in enumerate(names):
        photons[name][i] = np.nan
    photons["x"][11] = np.inf
    photons["dx"][12] = photons["dy"][12] = photons["dz"][12] = 0
    ended = made.propagate(photons)
    assert (ended["flags"][:13] == Flag.NO_HIT | Flag.NAN_ABORT).all()
    assert ended["flags"][13] == Flag.SURFACE_DETECT
    assert len(made.hits(photons)) == 1


def test_a_direction_of_any_length_and_a_polarisation_along_it_are_mended():
    made = detector(
        [{"shape": "sphere", "radius": 10, "surface": "eye", "channel": 0}], surfaces={"eye": {"detect": 1}}
    )
    photons = beam(1000, wavelength=420, direction=(0, 0, 1), polarisation=(0, 0, 1))
    photons["dz"] = 7
    ended = made.propagate(photons)
    assert (ended["flags"] == Flag.SURFACE_DETECT).all()
    np.testing.assert_allclose(ended["dz"], 1)
    np.testing.assert_allclose(ended["time"], 10 / LIGHT_SPEED, rtol=1e-6)
    e = polarisations(ended)
    np.testing.assert_allclose(np.linalg.norm(e, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(e[:, 2], 0, atol=1e-6)
    turn = np.arctan2(e[:, 1], e[:, 0])
    assert_distribution(turn, (turn + np.pi) / (2 * np.pi))


@pytest.mark.parametrize(
    "flag", [Flag.NO_HIT, Flag.BULK_ABSORB, Flag.SURFACE_DETECT, Flag.SURFACE_ABSORB, Flag.NAN_ABORT]
)
def test_a_photon_that_comes_with_a_terminal_bit_is_left_as_it_is(flag):
    made = detector(
        [{"shape": "sphere", "radius": 10, "surface": "eye", "channel": 0}], surfaces={"eye": {"detect": 1}}
    )
    photons = isotropic(10, wavelength=420)
    photons["flags"] = flag | Flag.CHERENKOV
    assert made.propagate(photons).tobytes() == photons.tobytes()
    assert len(made.hits(photons)) == 0


def test_bits_of_the_sender_survive():
    made = detector(
        [{"shape": "sphere", "radius": 10, "surface": "eye", "channel": 0}], surfaces={"eye": {"detect": 1}}
    )
    photons = isotropic(10, wavelength=420)
    photons["flags"] = Flag.SCINTILLATION | np.uint32(1 << 20)
    assert (made.hits(photons)["flags"] == Flag.SCINTILLATION | Flag.SURFACE_DETECT | (1 << 20)).all()


def test_what_is_detected_where_there_is_no_channel_is_no_hit():
    made = detector([{"shape": "sphere", "radius": 10, "surface": "eye"}], surfaces={"eye": {"detect": 1}})
    photons = isotropic(10, wavelength=420)
    assert has(made.propagate(photons), Flag.SURFACE_DETECT).all()
    assert len(made.hits(photons)) == 0


def test_an_empty_geometry_lets_everything_out():
    assert has(detector([]).propagate(isotropic(10, wavelength=420)), Flag.NO_HIT).all()
