"""``std-event-view`` as a process: it shows the newest event at once, and a viewer that hangs changes nothing."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from std_daq.client.scrape import parse_samples
from std_daq.tpc.config import load_tpc_config
from std_daq.tpc.reconstruction.results import results_address
from std_test_kit.event_results import ResultsPublisher, chamber_document, made_up_result
from std_test_kit.free_ports import free_tcp_port
from std_test_kit.rerun_recordings import read_recording, viewer_process
from std_test_kit.wait import wait_until


def _figure(port: int, name: str) -> float:
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page:
        samples = list(parse_samples(page.read().decode()))
    return sum(sample.value for sample in samples if sample.name == f"daq_event_view_{name}")


def _newest(saved: Path) -> int:
    return max(row.times["event_time"] for row in read_recording(saved).rows["/event/cloud"])


@pytest.fixture
def chamber(tmp_path: Path, shm_dir: Path, runtime: Path) -> Path:
    path = tmp_path / "tpc.json"
    path.write_text(json.dumps(chamber_document(shm_dir)))
    return path


@pytest.fixture
def publisher(chamber: Path) -> Iterator[ResultsPublisher]:
    with ResultsPublisher(results_address(load_tpc_config(chamber))) as publishing:
        yield publishing


def _start(chamber: Path, *options: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "std_event_view", "--config", str(chamber), *options]
    return subprocess.Popen(command)


def _end(process: "subprocess.Popen[bytes]") -> float:
    begin = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    return time.monotonic() - begin


@pytest.mark.long
def test_the_newest_event_is_shown_and_a_viewer_that_hangs_changes_nothing(
    chamber: Path, publisher: ResultsPublisher, tmp_path: Path
) -> None:
    saved, port = tmp_path / "saved.rrd", free_tcp_port()
    with viewer_process(saved) as (address, viewer):
        process = _start(chamber, "--viewer", str(address), "--metrics-port", str(port))
        try:
            publisher.wait_for_subscriber()
            publisher.publish(made_up_result(0))
            wait_until(lambda: "/event/cloud" in read_recording(saved).rows, 30)
            viewer.send_signal(signal.SIGSTOP)
            for number in range(1, 300):
                publisher.publish(made_up_result(number, number=number, n_points=3000))
                time.sleep(0.002)
            wait_until(lambda: _figure(port, "results_total") == 300, 20)
            assert _figure(port, "missed_total") == 0
            viewer.send_signal(signal.SIGCONT)
            wait_until(lambda: _newest(saved) == 299, 20)
            wait_until(lambda: _figure(port, "replaced_total") > 0, 10)
            viewer.send_signal(signal.SIGSTOP)
            publisher.publish(made_up_result(300, number=300))
            assert _end(process) < 5  # 1 s on a machine that is not loaded
        finally:
            process.kill()
            process.wait()
