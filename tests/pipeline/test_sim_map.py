"""std-sim map by a farm."""

import signal
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import h5py
import pytest

from std_daq.cli.sim import main as std_sim
from std_daq.photons.engine import open_backend
from std_daq.photons.maps.light import Block
from std_daq.photons.maps.make_map import make_map
from std_daq.photons.maps.plan import plan_map
from std_daq.photons.maps.simulation import Simulated, simulate_by_farm, simulate_here
from std_daq.photons.sim_client import N_IN_FLIGHT, SimClient
from std_test_kit.free_ports import free_tcp_port
from std_test_kit.photon_farm import PhotonProcess, wait_for_answer
from std_test_kit.photon_tank import write_tank


def contents(path: Path) -> dict[str, bytes]:
    with h5py.File(path, "r") as file:
        return {name: file[name][:].tobytes() for name in file}


@pytest.mark.long
def test_farm_makes_the_map_that_one_machine_makes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tank = write_tank(tmp_path)
    clients, backend = (f"tcp://127.0.0.1:{free_tcp_port()}" for _ in range(2))
    options = ["--voxel-mm", "1400", "--photons", "25000"]
    here, by_farm = tmp_path / "here.h5", tmp_path / "farm.h5"
    worker = ("std_sim_worker", "--geometry", tank, "--router", backend, "--threads", 1, "--seed", 5)
    router = PhotonProcess("std_sim_router", "--frontend", clients, "--backend", backend)
    workers = [PhotonProcess(*worker) for _ in range(2)]
    with ExitStack() as farm_processes:
        for process in (*workers, router):
            farm_processes.enter_context(process)
        wait_for_answer(clients)
        farm = [*options, "--router", clients, "--worker-seed"]
        assert std_sim(["map", str(tank), "--output", str(by_farm), *farm, "5"]) == 0
        assert "27 voxels simulated, 0 were there, 25000 photons each, 6 channels" in capsys.readouterr().out
        assert std_sim(["map", str(tank), "--output", str(tmp_path / "other.h5"), *farm, "6"]) == 1
        assert "give other hits than this machine" in capsys.readouterr().err
        other = tmp_path / "other"
        other.mkdir()
        elsewhere = write_tank(other, arrays=[{"part": "pmt", "positions": [[0, 0, 0]], "first_channel": 0}])
        assert std_sim(["map", str(elsewhere), "--output", str(tmp_path / "other.h5"), *farm, "5"]) == 1
        assert "theirs has 6 channels, this one 1" in capsys.readouterr().err
    assert std_sim(["map", str(tank), "--output", str(here), *options, "--worker-seed", "5"]) == 0
    assert contents(by_farm) == contents(here)
    assert not (tmp_path / "other.h5").exists()


@pytest.mark.long
def test_worker_that_dies_costs_a_map_nothing(tmp_path: Path) -> None:
    tank = write_tank(tmp_path)
    clients, backend = (f"tcp://127.0.0.1:{free_tcp_port()}" for _ in range(2))
    plan = plan_map(tank, voxel_mm=1400.0)
    worker = ("std_sim_worker", "--geometry", tank, "--router", backend, "--threads", 1)
    router = PhotonProcess("std_sim_router", "--frontend", clients, "--backend", backend)
    with PhotonProcess(*worker) as dying, PhotonProcess(*worker) as other, router, SimClient(clients) as client:
        for process in (dying, other):
            process.wait_for_log("router_connected")

        def simulate(blocks: Iterable[Block]) -> Iterator[Simulated]:
            for n_before, simulated in enumerate(simulate_by_farm(plan.light, client, N_IN_FLIGHT, blocks)):
                if n_before == 0:
                    dying.end(signal.SIGKILL)
                yield simulated

        make_map(tmp_path / "farm.h5", plan, n_photons=40_000, simulate=simulate)
    engine = open_backend(tank, seed=0, name="cpu", n_threads=1)
    make_map(tmp_path / "here.h5", plan, n_photons=40_000, simulate=partial(simulate_here, plan.light, engine))
    assert contents(tmp_path / "farm.h5") == contents(tmp_path / "here.h5")
