"""Maps against a known solid angle, and their files: stopped, killed, extended, of others."""

import json
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest

from std_daq.cli.sim import main as std_sim
from std_daq.errors import ArgumentError, ConfigError, FileFormatError, ResourceError, SimulationError
from std_daq.photons.engine import open_backend
from std_daq.photons.maps.hit_map import HitMap
from std_daq.photons.maps.light import Block
from std_daq.photons.maps.make_map import Made, make_map
from std_daq.photons.maps.map_lock import map_lock
from std_daq.photons.maps.plan import MapPlan, plan_map
from std_daq.photons.maps.simulation import Simulate, simulate_here
from std_daq.photons.records import HIT
from std_test_kit.photon_tank import N_CHANNELS, write_tank

BALL_RADIUS = 500.0
LIGHT_SPEED = 299.792458


def write_balls(folder: Path) -> Path:
    """Two black balls in nothing that detect all light, at x = 0 and x = 10 m."""
    ball = {"shape": "sphere", "radius": BALL_RADIUS, "inner": "vacuum", "outer": "vacuum", "surface": "all"}
    solids = [ball | {"channel": 0}, ball | {"channel": 1, "position": [10_000, 0, 0]}]
    document = {"format": "std-sim-geometry", "version": 1, "materials": {"vacuum": {}}}
    path = folder / "balls.json"
    path.write_text(json.dumps(document | {"surfaces": {"all": {"detect": 1}}, "solids": solids}))
    return path


@pytest.fixture
def tank(tmp_path: Path) -> Path:
    return write_tank(tmp_path)


def here(geometry: Path, plan: MapPlan, n_threads: int = 1) -> Simulate:
    return partial(simulate_here, plan.light, open_backend(geometry, seed=0, name="cpu", n_threads=n_threads))


def made(path: Path, geometry: Path, n_photons: int, **options: object) -> Made:
    plan = plan_map(geometry, **({"voxel_mm": 2000.0} | options))  # type: ignore[arg-type]
    return make_map(path, plan, n_photons=n_photons, simulate=here(geometry, plan))


def contents(path: Path) -> dict[str, bytes]:
    with h5py.File(path, "r") as file:
        return {name: file[name][:].tobytes() for name in file}


def test_probability_is_the_solid_angle_of_a_ball(tmp_path: Path) -> None:
    geometry, path, n = write_balls(tmp_path), tmp_path / "map.h5", 200_000
    # Voxels so small that the distance is the same for all their photons.
    made(path, geometry, n, voxel_mm=1.0, region=(1999.5, -0.5, -0.5, 2001.5, 0.5, 0.5))
    with HitMap(path) as hit_map:
        assert hit_map.grid.shape == (2, 1, 1)
        for voxel, distance in ((0, 2000.0), (1, 2001.0)):
            for channel, far in ((0, distance), (1, 10_000 - distance)):
                expected = (1 - np.sqrt(1 - (BALL_RADIUS / far) ** 2)) / 2
                error = np.sqrt(expected * (1 - expected) / n)
                assert abs(hit_map.probability(voxel)[channel] - expected) < 4 * error
                assert hit_map.standard_error(voxel)[channel] == pytest.approx(error, rel=0.2)
        # Light to the ball travels from 1500 mm to the length of the tangent.
        shortest, longest = 1500 / LIGHT_SPEED, np.sqrt(2000**2 - BALL_RADIUS**2) / LIGHT_SPEED
        assert shortest < hit_map.mean_time((2000, 0, 0))[0] < longest
        assert 0 < hit_map.time_spread(0)[0] < longest - shortest


def test_light_starts_evenly_within_its_voxel_to_all_sides(tank: Path) -> None:
    photons = plan_map(tank, voxel_mm=1000.0).light.photons(Block(21, 0, 10_000))
    low = np.array([-1000, -1000, -1000])  # 21 = (1 * 4 + 1) * 4 + 1
    for i, axis in enumerate("xyz"):
        starts = (photons[axis] - low[i]) / 1000
        assert starts.min() >= 0
        assert starts.max() <= 1
        assert abs(starts.mean() - 0.5) < 4 * np.sqrt(1 / 12 / 10_000)
        assert abs(photons[f"d{axis}"].mean()) < 4 * np.sqrt(1 / 3 / 10_000)
        assert abs(photons[f"pol{axis}"].mean()) < 4 * np.sqrt(1 / 3 / 10_000)
    assert np.unique(photons["wavelength"]).tolist() == [400.0]


def test_light_of_a_material_has_its_spectrum(tmp_path: Path) -> None:
    component = {"absorption_length": 1e6, "probability": 0.5, "spectrum": {"wavelength": [400, 500], "value": [1, 1]}}
    materials = {"scint": {"reemission": [component, component]}, "glass": {"reemission": [component]}, "vacuum": {}}
    ball = {"shape": "sphere", "radius": 500, "inner": "scint", "outer": "vacuum", "surface": "all", "channel": 0}
    document = {"format": "std-sim-geometry", "version": 1, "materials": materials}
    path = tmp_path / "ball.json"
    path.write_text(json.dumps(document | {"surfaces": {"all": {"detect": 1}}, "solids": [ball]}))
    wavelengths = plan_map(path, voxel_mm=500.0, light="scint.1").light.photons(Block(0, 0, 10_000))["wavelength"]
    assert 400 <= wavelengths.min() < 401
    assert 499 < wavelengths.max() <= 500
    assert abs(wavelengths.mean() - 450) < 4 * 100 / np.sqrt(12 * 10_000)
    with pytest.raises(ArgumentError, match=r"--spectrum.*'scint'.*one of: scint\.0, scint\.1, glass"):
        plan_map(path, voxel_mm=500.0, light="scint")


def test_box_around_the_detector_is_filled_from_its_corner(tank: Path) -> None:
    grid = plan_map(tank, voxel_mm=1500.0).grid
    assert grid.shape == (3, 3, 3)
    for edges in grid.edges:
        np.testing.assert_allclose(edges, [-2000, -500, 1000, 2500], atol=1e-5)
    assert plan_map(tank, voxel_mm=1000.0).grid.shape == (4, 4, 4)
    assert grid.voxel_of((-1999, -499, 1001)) == 5
    low, high = grid.box_of(5)
    np.testing.assert_allclose([low, high], [[-2000, -500, 1000], [-500, 1000, 2500]], atol=1e-5)
    with pytest.raises(ValueError, match="outside all voxels"):
        grid.voxel_of((2501, 0, 0))


def test_counts_do_not_depend_on_stops_threads_or_steps(tank: Path, tmp_path: Path) -> None:
    plan = plan_map(tank, voxel_mm=2000.0)
    simulate = here(tank, plan, n_threads=3)
    at_once, in_steps = tmp_path / "at-once.h5", tmp_path / "in-steps.h5"
    assert make_map(at_once, plan, n_photons=30_500, simulate=here(tank, plan)) == Made(8, 0)

    def backwards_until_the_third_voxel(blocks):  # type: ignore[no-untyped-def]
        yield from reversed(list(simulate([block for block in blocks if block.voxel < 3])))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_map(in_steps, plan, n_photons=10_000, simulate=backwards_until_the_third_voxel)
    make_map(in_steps, plan, n_photons=10_000, simulate=simulate)
    make_map(in_steps, plan, n_photons=25_000, simulate=simulate)  # the last block is not whole
    make_map(in_steps, plan, n_photons=30_500, simulate=simulate)
    assert make_map(in_steps, plan, n_photons=30_500, simulate=simulate) == Made(0, 8)
    assert contents(in_steps) == contents(at_once)
    with HitMap(at_once) as hit_map:
        assert hit_map.n_photons.tolist() == [30_500] * 8
        assert hit_map.counts(0).sum() > 0


# Dies when a method of MapFile is called for the n-th time, before or after it does its work.
DYING = """
import os, signal, sys
from std_daq.cli.sim import main
from std_daq.photons.maps import map_file

method, n, moment, *arguments = sys.argv[1:]
work, n_calls = getattr(map_file.MapFile, method), 0

def work_or_die(self, *given):
    global n_calls
    n_calls += 1
    if n_calls == int(n) and moment == "after":
        work(self, *given)
    if n_calls == int(n):
        os.kill(os.getpid(), signal.SIGKILL)
    work(self, *given)

map_file._STORE_S = 0.0
setattr(map_file.MapFile, method, work_or_die)
main(["map", *arguments])
"""


@pytest.mark.long
@pytest.mark.parametrize(
    ("method", "n", "moment", "n_done"),
    [
        ("store", 4, "before", 11),
        ("store", 4, "after", 12),
        # A store writes 0 photons first, then the rows, then their numbers.
        ("_write_n_photons", 7, "before", 11),
        ("_write_n_photons", 7, "after", 10),
        ("_write_n_photons", 8, "before", 10),
    ],
)
def test_killed_map_goes_on_to_the_same_content(
    tank: Path, tmp_path: Path, method: str, n: int, moment: str, n_done: int
) -> None:
    """A map of 8 voxels had 10,000 photons each, and dies when three of them got 20,000."""
    path, whole = tmp_path / "map.h5", tmp_path / "whole.h5"
    made(path, tank, 10_000)
    arguments = [str(tank), "--output", str(path), "--voxel-mm", "2000", "--photons", "20000", "--threads", "1"]
    command = [sys.executable, "-c", DYING, method, str(n), moment, *arguments]
    assert subprocess.run(command, check=False, timeout=60).returncode == -signal.SIGKILL
    with HitMap(path) as hit_map:
        assert hit_map.n_photons.sum() == n_done * 10_000
    assert std_sim(["map", *arguments]) == 0
    made(whole, tank, 20_000)
    assert contents(path) == contents(whole)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["map.h5", "tank.json", "whole.h5"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"seed": 1}, "seed is 0 there and 1 here"),
        ({"worker_seed": 1}, "worker_seed is 0 there and 1 here"),
        ({"voxel_mm": 1000.0}, "voxel_mm is 2000.0 there and 1000.0 here"),
        ({"light": 410.0}, "light is '400 nm' there and '410 nm' here"),
        ({"region": (0, 0, 0, 1, 1, 1)}, r"region is -2000 .* there and 0 0 0 1 1 1 here"),
    ],
)
def test_other_options_are_refused_by_name(tank: Path, tmp_path: Path, options: dict[str, object], told: str) -> None:
    path = tmp_path / "map.h5"
    made(path, tank, 10)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=rf"map\.h5.*{told}"):
        made(path, tank, 10, **options)
    assert path.read_bytes() == before


def test_other_geometry_and_fewer_photons_are_refused(tank: Path, tmp_path: Path) -> None:
    path = tmp_path / "map.h5"
    made(path, tank, 10)
    with pytest.raises(ArgumentError, match=r"--photons: the map has 10 a voxel already \(got '9'\)"):
        made(path, tank, 9)
    write_tank(tmp_path, surfaces={"grey": {"absorb": 1}, "photocathode": {"detect": 0.3, "absorb": 0.7}})
    with pytest.raises(ConfigError, match="geometry_hash is"):
        made(path, tank, 10)


def test_second_writer_is_refused_and_a_reader_is_not(tank: Path, tmp_path: Path) -> None:
    path = tmp_path / "map.h5"
    plan = plan_map(tank, voxel_mm=2000.0)
    simulate = here(tank, plan)

    def meanwhile(blocks):  # type: ignore[no-untyped-def]
        with HitMap(path) as hit_map:
            assert not hit_map.n_photons.any()
            assert np.isnan(hit_map.probability(0)).all()
            assert np.isnan(hit_map.mean_time(0)).all()
        with pytest.raises(ResourceError, match="another process writes this map"):
            make_map(path, plan, n_photons=10, simulate=simulate)
        yield from simulate(blocks)

    make_map(path, plan, n_photons=10, simulate=meanwhile)
    with map_lock(path), HitMap(path) as hit_map:
        assert hit_map.n_photons.all()


def test_files_of_others_are_refused_and_stay(tank: Path, tmp_path: Path) -> None:
    text, other = tmp_path / "text.h5", tmp_path / "other.h5"
    text.write_text("text")
    with h5py.File(other, "w", libver=("v110", "v110")) as file:
        file["data"] = 1
    before = other.read_bytes()
    for path, told in ((text, "not an HDF5 file"), (other, "no map of std-sim")):
        with pytest.raises(FileFormatError, match=rf"{path.name}.*{told}"):
            made(path, tank, 10)
    for path in (text, other, tmp_path / "none.h5"):
        with pytest.raises(FileFormatError, match=path.name):
            HitMap(path)
    assert other.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"region": (0, 0, 0, 1, 1, 0)}, "--region: the upper corner is not above the lower one"),
        ({"region": (0, 0, 0, 1, 1, np.inf)}, "--region: a corner is no place"),
        ({"voxel_mm": 0.1}, "--voxel-mm: that would be 6.4e.13 voxels"),
        ({"light": "water"}, "--spectrum: .*give --wavelength instead"),
    ],
)
def test_wrong_plans_are_told(tank: Path, options: dict[str, object], told: str) -> None:
    with pytest.raises(ArgumentError, match=told):
        plan_map(tank, **({"voxel_mm": 2000.0} | options))  # type: ignore[arg-type]


def test_detector_without_channels_has_no_map(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the detector has no channels"):
        plan_map(write_tank(tmp_path, arrays=[]), voxel_mm=2000.0)


def test_hit_of_a_channel_that_is_not_there_is_refused(tank: Path, tmp_path: Path) -> None:
    hits = np.zeros(1, HIT)
    hits["channel"] = N_CHANNELS
    plan = plan_map(tank, voxel_mm=2000.0)
    with pytest.raises(SimulationError, match="the workers have another geometry"):
        make_map(tmp_path / "map.h5", plan, n_photons=10, simulate=lambda blocks: ((block, hits) for block in blocks))
