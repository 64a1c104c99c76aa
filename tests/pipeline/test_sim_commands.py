"""std-sim, and a farm by `std-daq up`."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from std_daq.cli.__main__ import main as std_daq
from std_daq.cli.sim import main as std_sim
from std_daq.photons.records import PHOTON
from std_test_kit.free_ports import free_tcp_port
from std_test_kit.photon_farm import ask, wait_for_answer
from std_test_kit.photon_tank import event_photons, write_tank
from std_test_kit.wait import wait_until


@pytest.mark.long
def test_farm_of_one_command_serves_std_sim_and_is_shown(
    tmp_path: Path, runtime: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clients, workers = (f"tcp://127.0.0.1:{free_tcp_port()}" for _ in range(2))
    farm = tmp_path / "farm.json"
    document = {"name": "tank", "geometry": str(write_tank(tmp_path)), "frontend": clients, "backend": workers}
    farm.write_text(json.dumps(document | {"n_workers": 2}))
    command = [sys.executable, "-m", "std_daq.cli.__main__", "up", "--config", str(farm)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as up:
        try:
            assert up.stdout is not None
            assert up.stdout.readline() == "ready\n"
            wait_for_answer(clients)
            check_commands(clients, tmp_path, capsys)
            # The router renews its figures twice a second.
            wait_until(lambda: workers_shown(farm, capsys) == 2, 10.0)
        finally:
            up.send_signal(signal.SIGTERM)
    assert up.returncode == 0
    assert std_sim(["ping", "--address", clients, "--timeout-s", "0.2"]) == 1


def workers_shown(farm: Path, capsys: pytest.CaptureFixture[str]) -> float:
    """Return the number of workers that `std-daq status` shows."""
    assert std_daq(["status", "--config", str(farm), "--json", "--period-s", "0.1"]) == 0
    services = {one["instance"]: one for one in json.loads(capsys.readouterr().out)["services"]}
    assert set(services) == {"sim-router", "sim-worker-0", "sim-worker-1"}
    return float(services["sim-router"]["figures"]["workers"]["value"])


def check_commands(clients: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert std_sim(["ping", "--address", clients, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["address"] == clients
    assert std_sim(["info", "--address", clients]) == 0
    assert capsys.readouterr().out.splitlines()[1] == "1 -1700.000 0.000 0.000 0"
    photons = np.concatenate([event_photons(500, number) for number in range(4)])
    np.savez(
        folder / "p.npz",
        event_id=np.repeat(np.arange(4), 500),
        **{name: photons[name] for name in PHOTON.names or ()},  # type: ignore[arg-type]
    )
    assert std_sim(["run", str(folder / "p.npz"), "--address", clients]) == 0
    assert "4 events" in capsys.readouterr().out
    with np.load(folder / "p.hits.npz") as hits:
        assert set(hits["event_id"].tolist()) <= set(range(4))
        assert 0 < len(hits["channel"]) < 2000
    assert std_sim(["bench", "--address", clients, "--events", "5", "--photons", "100", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["photons"] == 500
    assert ask(clients, [b"NONSENSE"]) == [b"UNKNOWN_REQUEST"]
