"""``run-conduit``: frames of simulated exporters are events in a viewer."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from std_test_kit.chambers import write_chamber
from std_test_kit.free_ports import free_tcp_port
from std_test_kit.rerun_recordings import read_recording, viewer_process
from std_test_kit.wait import wait_until


@pytest.mark.long
def test_tracks_of_simulated_exporters_are_seen_in_a_viewer(tmp_path: Path, shm_dir: Path, runtime: Path) -> None:
    saved, exporter = tmp_path / "saved.rrd", f"127.0.0.1:{free_tcp_port()}"
    boards = [(cobo, asad) for cobo in range(10) for asad in range(4)]
    config = write_chamber(
        tmp_path, [exporter], boards, shared_memory={"directory": str(shm_dir)}, builder={"ram_buffer_gb": 0.3}
    )
    with viewer_process(saved) as (address, _):
        command = ["std_daq.cli.run_conduit", "--config", str(config), "--viewer-ip", address.host]
        conduit = subprocess.Popen(
            [sys.executable, "-m", *command, "--viewer-port", str(address.port), "--n-threads", "11"],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert conduit.stdout is not None
            assert conduit.stdout.readline() == "ready\n"
            simulate = ["std_daq.cli", "simulate", "--config", str(config), "--n-events", "30", "--rate-hz", "5"]
            subprocess.run([sys.executable, "-m", *simulate, "--n-made", "3", "--json"], check=True, timeout=100)
            wait_until(lambda: _has_a_track(saved), 60)
        finally:
            begin = time.monotonic()
            conduit.send_signal(signal.SIGINT)
            assert conduit.wait(20) == 0
            assert time.monotonic() - begin < 10  # 2 s on a machine that is not loaded
            if conduit.stdout is not None:
                conduit.stdout.close()
    assert not list(shm_dir.iterdir())


def _has_a_track(saved: Path) -> bool:
    rows = read_recording(saved).rows
    return any(row.components.get("Ellipsoids3D:half_sizes") for row in rows.get("/event/circles", [])) and any(
        "| 9 | 3 |" in row.components["TextDocument:text"][0] for row in rows.get("/boards", [])
    )
