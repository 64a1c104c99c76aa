"""A Geant4 application hands its optical photons over to a farm: the example, and the module that it uses."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from std_daq.cli.sim import main as std_sim
from std_daq.photons.flags import Flag
from std_test_kit.engine import PROJECT
from std_test_kit.free_ports import free_tcp_port
from std_test_kit.geant4_navigation import is_installed
from std_test_kit.photon_farm import PhotonProcess, wait_for_answer

EXAMPLE = PROJECT / "examples" / "geant4_photons"
VELOCITY = 210.0
N_EVENTS = 2
N_SENSORS = 48

pytestmark = pytest.mark.skipif(
    not is_installed(),
    reason="geant4-pybind is not installed: no Geant4 application is tried (pip install geant4-pybind)",
)


def run(folder: Path, program: list[str], *arguments: object) -> "subprocess.CompletedProcess[str]":
    """Run a Geant4 application, which can begin only once in a process."""
    return subprocess.run(
        [sys.executable, *program, *map(str, arguments)], cwd=folder, check=False, timeout=100,
        capture_output=True, text=True, stdin=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": str(EXAMPLE)},
    )  # fmt: skip


def muons(folder: Path, *arguments: object) -> "subprocess.CompletedProcess[str]":
    return run(folder, [str(EXAMPLE / "muons.py")], "--velocity", VELOCITY, *arguments)


@pytest.fixture(scope="module")
def geometry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The detector of the example, as the page for users says."""
    folder = tmp_path_factory.mktemp("detector")
    written = muons(folder, "--write-detector", "detector.gdml")
    assert written.returncode == 0, written.stdout[-2000:] + written.stderr
    output = folder / "geometry.json"
    assert std_sim(["convert", str(folder / "detector.gdml"), "--sensors", "^cathode", "--output", str(output)]) == 0
    return output


@pytest.fixture(scope="module")
def farm(geometry: Path) -> Iterator[str]:
    """A router and two workers."""
    clients, backend = (f"tcp://127.0.0.1:{free_tcp_port()}" for _ in range(2))
    worker = ("--geometry", geometry, "--router", backend, "--threads", 1)
    with (
        PhotonProcess("std_sim_router", "--frontend", clients, "--backend", backend),
        PhotonProcess("std_sim_worker", *worker) as one,
        PhotonProcess("std_sim_worker", *worker) as other,
    ):
        for process in (one, other):
            process.wait_for_log("router_connected")
        yield clients


@pytest.fixture(scope="module")
def both(farm: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The hits of the farm, and those by Geant4 itself, of the very same photons."""
    folder = tmp_path_factory.mktemp("hits")
    done = muons(folder, "--address", farm, "--events", N_EVENTS, "--compare", "--output", "hits.npz")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    with np.load(folder / "hits.npz") as found:
        return dict(found)


def test_each_event_of_muons_has_its_hits_of_cherenkov_and_scintillation_light(both: Any) -> None:
    assert np.unique(both["event_id"]).tolist() == list(range(N_EVENTS))
    flags = both["hits"]["flags"]
    is_cherenkov, is_scintillation = ((flags & np.uint32(kind)) != 0 for kind in (Flag.CHERENKOV, Flag.SCINTILLATION))
    assert np.all(is_cherenkov != is_scintillation)
    assert min(np.count_nonzero(is_cherenkov), np.count_nonzero(is_scintillation)) > 500


def test_geant4_itself_detects_as_many_of_the_same_photons(both: Any) -> None:
    ours, theirs = len(both["hits"]), len(both["geant4_channel"])
    assert abs(ours - theirs) < 4 * np.sqrt(ours + theirs)


def test_geant4_itself_detects_as_many_in_each_sensor(both: Any) -> None:
    ours, theirs = (np.bincount(c, minlength=N_SENSORS) for c in (both["hits"]["channel"], both["geant4_channel"]))
    chi_square = np.sum((ours - theirs) ** 2 / np.maximum(ours + theirs, 1))
    assert chi_square < N_SENSORS + 4 * np.sqrt(2 * N_SENSORS)


def test_geant4_itself_detects_them_at_the_same_times(both: Any) -> None:
    ours, theirs = both["hits"]["time"].astype(float), both["geant4_time"]
    assert abs(ours.mean() - theirs.mean()) < 4 * np.sqrt(ours.var() / len(ours) + theirs.var() / len(theirs))


@pytest.mark.long
def test_photons_that_are_handed_over_are_not_followed_by_geant4(farm: str, tmp_path: Path, both: Any) -> None:
    done = muons(tmp_path, "--address", farm, "--events", N_EVENTS, "--output", "hits.npz")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    with np.load(tmp_path / "hits.npz") as found:
        assert len(found["geant4_channel"]) == 0
        assert np.unique(found["event_id"]).tolist() == list(range(N_EVENTS))


def fire(address: str, folder: Path, kind: str) -> dict[str, Any]:
    done = run(folder, ["-m", "std_test_kit.geant4_gun"], address, "told.json", kind)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    told: dict[str, Any] = json.loads((folder / "told.json").read_text())
    return told


def test_photons_of_a_gun_keep_place_direction_and_time_and_events_without_light_are_events(
    farm: str, tmp_path: Path
) -> None:
    told = fire(farm, tmp_path, "plain")
    assert told["error"] is None
    (first, n_first, channels, flags, at), (second, n_second, *_), (third, n_third, _, _, later) = told["events"]
    assert (first, second, third) == (0, 1, 2)
    assert min(n_first, n_third) > 20  # a quarter of 200
    assert n_second == 0
    assert channels == [24]  # the one that stands where they fly to
    assert Flag.SURFACE_DETECT in flags
    assert not any(one & (Flag.CHERENKOV | Flag.SCINTILLATION) for one in flags)
    flight = (848.5 - 500 - 101 + 3) / VELOCITY
    assert at == pytest.approx(flight, abs=0.2)
    assert later == pytest.approx(at + 20, abs=0.01)


@pytest.mark.long
def test_an_aborted_event_is_not_sent(farm: str, tmp_path: Path) -> None:
    told = fire(farm, tmp_path, "aborted")
    assert [number for number, *_ in told["events"]] == [1, 2]
    assert told["error"] is None


@pytest.mark.long
def test_photons_with_a_weight_end_the_run(farm: str, tmp_path: Path) -> None:
    told = fire(farm, tmp_path, "weighted")
    assert told["error"] == "an optical photon has the weight 2; hits have none: switch biasing off"
    assert [number for number, *_ in told["events"]] == [0, 1]


@pytest.mark.long
def test_an_event_that_cannot_be_simulated_ends_the_run(geometry: Path, tmp_path: Path) -> None:
    address = f"tcp://127.0.0.1:{free_tcp_port()}"
    limit = ("--max-photons", 1000, "--threads", 1)
    with PhotonProcess("std_sim_worker", "--standalone", "--frontend", address, "--geometry", geometry, *limit):
        wait_for_answer(address)
        done = muons(tmp_path, "--address", address, "--events", 1)
    assert done.returncode == 1
    assert "event 0 cannot be simulated" in done.stderr
