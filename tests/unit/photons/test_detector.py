"""Detectors of many parts: instances, channels, threads, batches, meshes."""

import json
from itertools import pairwise

import numpy as np
import pytest

from std_daq.photons import cpu
from std_daq.photons.backend import Job
from std_daq.photons.detector import PhotonDetector
from std_daq.photons.flags import Flag
from std_daq.photons.geometry.scene import content_hash
from std_daq.photons.sources import isotropic
from std_daq.photons.tanks import LARGE, SMALL, small_tank
from std_test_kit.photons import assert_share, detector, document, has

EYE = {"eye": {"detect": 0.5, "absorb": 0.3, "reflect_diffuse": 0.1, "reflect_specular": 0.1}}


@pytest.fixture(scope="module")
def tank():
    return PhotonDetector.of(small_tank())


def test_the_tanks_have_the_sensors_of_their_models(tank):
    assert len(tank.channels.types) == 168
    assert len(LARGE.places()[0]) == 11_146
    positions, directions = SMALL.places()
    np.testing.assert_allclose(tank.channels.positions, positions, rtol=1e-6)
    # All look to the middle.
    assert (np.sum(positions * directions, axis=1) < 0).all()


def test_hits_are_the_detected_photons_in_their_order(tank):
    photons = isotropic(20_000, wavelength=420)
    ended, hits = tank.propagate(photons), tank.hits(photons)
    detected = ended[has(ended, Flag.SURFACE_DETECT)]
    assert len(hits) == len(detected) > 300
    for name in ("dx", "dy", "dz", "polx", "poly", "polz", "wavelength", "time", "flags"):
        np.testing.assert_array_equal(hits[name], detected[name])
    places = np.column_stack([detected[axis] for axis in "xyz"])
    reach = np.linalg.norm(places - tank.channels.positions[hits["channel"]], axis=1)
    np.testing.assert_allclose(reach, SMALL.ball - 3, atol=1e-2)


@pytest.mark.parametrize("n_threads", [1, 2, 5])
@pytest.mark.parametrize("batch", [1 << 18, 700])
def test_hits_do_not_depend_on_threads_batches_or_company(tank, monkeypatch, n_threads, batch):
    jobs = [Job(key, isotropic(n, wavelength=420, seed=key)) for key, n in enumerate([3000, 0, 1, 5000, 600])]
    expected = [tank.hits(job.photons, key=job.key, n_threads=1) for job in jobs]
    monkeypatch.setattr(cpu, "BATCH", batch)
    found = tank.backend(n_threads=n_threads).simulate(jobs)
    assert [hits.tobytes() for hits in found] == [hits.tobytes() for hits in expected]
    assert len(found[3]) > 50


def test_seed_and_key_select_the_random_numbers(tank):
    photons = isotropic(2000, wavelength=420)
    runs = {
        tank.propagate(photons, seed=seed, key=key).tobytes() for seed in (0, 1, 2**63 - 1) for key in (0, 2**64 - 1)
    }
    assert len(runs) == 6


def test_a_job_leaves_its_photons_as_they_were(tank):
    photons = isotropic(1000, wavelength=420)
    before = photons.tobytes()
    tank.hits(photons)
    assert photons.tobytes() == before


def sensor():
    """A part of many shapes: too many primitives to be opened, so it becomes an instance."""
    painted = {"inner": "vacuum", "outer": "vacuum", "surface": "eye"}
    tip = {"shape": "revolved", "profile": [[0, 60], [30, 80], [0, 120]], "segments": 7}
    return [
        {"shape": "cylinder", "radius": 40, "height": 50, **painted},
        {"shape": "disc", "radius": 60, "position": [0, 0, 40], "direction": [1, 0, 3], **painted},
        {**tip, "inner": "glass", "outer": "vacuum"},
    ]


def turned(solid, turn, place):
    """A solid at a place of its part, as a solid of the detector."""
    from std_daq.photons.geometry.placement import turned_to

    own = turned_to(np.array([solid.get("direction", [0, 0, 1])], float))[0]
    rest = {key: value for key, value in solid.items() if key not in {"position", "direction"}}
    position = turn @ np.array(solid.get("position", [0, 0, 0]), float) + place
    return {**rest, "position": position.tolist(), "rotation": (turn @ own).tolist()}


def test_a_part_at_many_places_is_the_same_as_solids_there():
    from std_daq.photons.geometry.placement import turned_to

    rng = np.random.default_rng(3)
    directions = rng.normal(size=(40, 3))
    places = 600 * directions / np.linalg.norm(directions, axis=1, keepdims=True)
    axes = rng.normal(size=(40, 3))
    axes[0], axes[1] = [0, 0, -5], [0, 0, 2]
    shared = {"materials": {"glass": {"refractive_index": 1.5}}, "surfaces": EYE}
    wall = {"shape": "sphere", "radius": 1000, "surface": "eye"}
    placed = detector(
        [wall],
        parts={"sensor": sensor()},
        arrays=[{"part": "sensor", "positions": places.tolist(), "directions": axes.tolist(), "first_channel": 0}],
        **shared,
    )
    single = [
        {**turned(solid, turn, place), "channel": None}
        for turn, place in zip(turned_to(axes), places, strict=True)
        for solid in sensor()
    ]
    alone = detector([wall, *single], **shared)
    photons = isotropic(20_000, wavelength=420)
    one, other = placed.propagate(photons), alone.propagate(photons)
    # Rounding differs in the coordinates of a part; a photon that just misses an edge may go another way.
    assert np.mean(one["flags"] != other["flags"]) < 1e-3
    same = one["flags"] == other["flags"]
    for name in ("x", "y", "z", "time"):
        assert np.mean(np.abs(one[name][same] - other[name][same]) > 0.05) < 1e-3
    hits = placed.hits(photons)
    assert len(hits) > 500
    assert set(hits["channel"]) == set(range(40))


def test_a_mesh_file_is_the_same_as_its_triangles(tmp_path):
    ball = {"shape": "revolved", "profile": [[0, -50], [50, 0], [0, 50]], "segments": 4}
    vertices = [[0, 0, -50], [50, 0, 0], [0, 50, 0], [-50, 0, 0], [0, -50, 0], [0, 0, 50]]
    rim = list(pairwise([1, 2, 3, 4, 1]))
    triangles = [[0, b, a] for a, b in rim] + [[a, b, 5] for a, b in rim]
    (tmp_path / "ball.obj").write_text(
        "".join(f"v {x / 10} {y / 10} {z / 10}\n" for x, y, z in vertices)
        + "".join(f"f {a + 1} {b + 1} {c + 1}\n" for a, b, c in triangles)
    )
    meshes = {
        "file": {"shape": "mesh", "file": "ball.obj", "scale": 10},
        "given": {"shape": "mesh", "vertices": vertices, "triangles": triangles},
        "revolved": ball,
    }
    photons = isotropic(5000, wavelength=420, position=(0, 0, 100))
    ended = {}
    for name, solid in meshes.items():
        path = tmp_path / f"{name}.json"
        solid = {**solid, "inner": "glass", "surface": "eye"}
        path.write_text(json.dumps(document([solid], materials={"glass": {"refractive_index": 1.5}}, surfaces=EYE)))
        ended[name] = PhotonDetector.load(path).propagate(photons)
    for name in ("given", "revolved"):
        for field in ("flags", "x", "y", "z"):
            np.testing.assert_allclose(ended["file"][field], ended[name][field], atol=1e-3)


def test_a_turned_profile_comes_to_the_ball_with_more_segments():
    radius, distance = 100, 150
    expected = (1 - np.sqrt(1 - (radius / distance) ** 2)) / 2
    shares = []
    for segments, points in ((8, 9), (64, 129)):
        turn = np.linspace(-np.pi / 2, np.pi / 2, points)
        profile = np.column_stack([radius * np.cos(turn), radius * np.sin(turn)])
        profile[[0, -1], 0] = 0
        made = detector(
            [{"shape": "revolved", "profile": profile.tolist(), "segments": segments, "surface": "eye"}],
            surfaces={"eye": {"detect": 1}},
        )
        seen = has(made.propagate(isotropic(100_000, wavelength=420, position=(0, 0, -distance))), Flag.SURFACE_DETECT)
        shares.append(np.mean(seen))
    assert shares[0] < expected - 0.005
    assert_share(seen, expected * 0.9995)


def test_parts_keep_the_sides_of_their_materials():
    glass = {"glass": {"refractive_index": 1.5, "absorption_length": 0.01}}
    shell = [{"shape": "sphere", "radius": 10, "inner": "vacuum", "outer": "glass"}]
    made = detector([], materials=glass, parts={"hole": shell}, arrays=[{"part": "hole", "positions": [[0, 0, 0]]}])
    assert has(made.propagate(isotropic(100, wavelength=420)), Flag.NO_HIT).sum() > 90
    outside = made.propagate(isotropic(10_000, wavelength=420, position=(20, 0, 0)))
    assert_share(has(outside, Flag.BULK_ABSORB), (1 - np.sqrt(1 - 0.25)) / 2)


def test_the_hash_tells_scenes_apart():
    assert content_hash(PhotonDetector.of(small_tank()).scene) == content_hash(PhotonDetector.of(small_tank()).scene)
    other = small_tank()
    other["materials"]["water"]["absorption_length"] = 1e5
    assert content_hash(PhotonDetector.of(other).scene) != content_hash(PhotonDetector.of(small_tank()).scene)


def test_channels_tell_places_and_types(tmp_path):
    eye = {"inner": "vacuum", "outer": "vacuum", "surface": "eye"}
    ball = {"shape": "sphere", "radius": 1, **eye}
    made = detector(
        [
            {**ball, "position": [1, 2, 3], "channel": 4, "channel_type": 7},
            {**ball, "position": [9, 2, 3], "channel": 0, "channel_position": [0.1, 0, 0]},
            {
                "shape": "cylinder", "radius": 1, "height": 10, "direction": [1, 0, 0], "position": [100, 0, 0],
                "faces": {"top": {"channel": 1}, "bottom": {"channel": 5, "channel_type": -1}}, **eye,
            },
        ],
        surfaces=EYE,
        parts={"p": [ball]},
        arrays=[
            {
                "part": "p", "positions": [[0, 50, 0], [0, 60, 0]], "first_channel": 2,
                "channel_types": [3, 4], "channel_positions": [[0, 50.5, 0], [0, 60.5, 0]],
            },
            {"part": "p", "positions": [[0, 70, 0]]},
        ],
    )  # fmt: skip
    expected = [[0.1, 0, 0], [105, 0, 0], [0, 50.5, 0], [0, 60.5, 0], [1, 2, 3], [95, 0, 0]]
    np.testing.assert_array_equal(made.channels.positions, np.array(expected, np.float32))
    assert made.channels.types.tolist() == [0, 0, 3, 4, 7, -1]
