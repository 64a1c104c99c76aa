"""The analysis of events as a process: results, changed parameters, killed workers, its end."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import zmq

from std_daq.client.scrape import scrape
from std_daq.service.record import read_records
from std_daq.tpc.config import load_tpc_config
from std_daq.tpc.events.board_bits import boards_to_bits
from std_daq.tpc.events.event_buffer import ROW_BYTES, EventBuffer
from std_daq.tpc.events.paths import event_buffer_path
from std_daq.tpc.pads.load import load_pads
from std_daq.tpc.reconstruction.pipeline import Pipeline
from std_daq.tpc.reconstruction.results import EventResult, decode_result, results_address
from std_test_kit.helix_events import channel_lines, helix_event
from std_test_kit.wait import wait_until

READY_S = 90.0
RESULT_S = 30.0
MAX_TRACES = 3000


class Chamber:
    """A ring of events that a test fills, and the analysis that reads it."""

    def __init__(self, folder: Path, shm_dir: Path, n_workers: int = 1) -> None:
        (folder / "map.csv").write_text("\n".join(channel_lines()))
        self.file = folder / "tpc.json"
        self.document = {
            "detector_name": "chamber",
            "detector_type": "get-tpc",
            "exporters": ["127.0.0.1:1"],
            "pads": {"electronics": "map.csv", "geometry": "attpc", "scale": "attpc", "beam_radius_mm": 20},
            "shared_memory": {"directory": str(shm_dir)},
            "runtime_dir": str(folder),
            "services": {"event-analysis": {"workers": n_workers}},
            "analysis": {"seed": 3},
        }
        self.write()
        self.config = load_tpc_config(self.file)
        self.ring, _ = EventBuffer.create(
            event_buffer_path(self.config), buffer_bytes=6 * MAX_TRACES * ROW_BYTES, max_traces=MAX_TRACES
        )
        self._log = folder / "event-analysis.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "std_event_analysis", "--config", str(self.file)], stderr=log
            )
        self._context = zmq.Context()
        self._results = self._context.socket(zmq.SUB)
        self._results.setsockopt(zmq.SUBSCRIBE, b"")

    def write(self) -> None:
        self.file.write_text(json.dumps(self.document))

    def wait_until_ready(self) -> None:
        wait_until(self._is_ready, READY_S, self._log.read_text)
        self._results.connect(results_address(self.config))

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, self._log.read_text()
        records = [one for one in read_records(self.config) if one.instance == "event-analysis"]
        return bool(records) and scrape(records[0].socket).is_ready

    def values(self) -> dict[str, float]:
        (record,) = [one for one in read_records(self.config) if one.instance == "event-analysis"]
        return {one.name: one.value for one in scrape(record.socket).samples if not one.labels}

    def publish(self, event_id: int, matrix: np.ndarray, epoch: int = 0) -> None:
        self.ring.begin_event(len(matrix))[:] = matrix
        self.ring.publish(
            event_id=event_id, epoch=epoch, n_traces=len(matrix), timestamp=event_id, timestamp_other=0, n_boards=1,
            missing_bits=boards_to_bits(()), first_arrival_ns=time.time_ns(), built_ns=time.time_ns(),
        )  # fmt: skip

    def result(self, timeout_s: float = RESULT_S) -> EventResult:
        assert self._results.poll(timeout_s * 1000), self._log.read_text()
        return decode_result(self._results.recv_multipart())

    def first_result(self, matrix: np.ndarray) -> EventResult:
        """Publish until there is a result: a subscription takes a moment."""
        for event_id in range(1000):
            self.publish(event_id, matrix)
            if self._results.poll(500):
                return self.result()
        raise AssertionError(self._log.read_text())

    def end(self) -> float:
        began_s = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(10) == 0, self._log.read_text()
        return time.monotonic() - began_s

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._context.destroy(linger=0)
        self.ring.close()


@pytest.fixture
def chamber(runtime: Path, tmp_path: Path, shm_dir: Path) -> Iterator[Chamber]:
    one = Chamber(runtime, shm_dir)
    yield one
    one.close()


@pytest.fixture(scope="module")
def matrix() -> np.ndarray:
    return helix_event(2)


def drain(chamber: Chamber, event_id: int) -> EventResult:
    """Return the result of an event, past those before it."""
    while (result := chamber.result()).id != event_id:
        pass
    return result


@pytest.mark.long
def test_results_online_are_those_of_the_pipeline_and_follow_the_file(chamber: Chamber, matrix: np.ndarray) -> None:
    chamber.wait_until_ready()
    chamber.first_result(matrix)
    chamber.publish(5000, matrix, epoch=2)
    online = drain(chamber, 5000)
    offline = Pipeline(load_pads(chamber.config.pads), chamber.config.analysis).run(5000, 2, matrix)
    np.testing.assert_array_equal(online.cloud, offline.cloud)
    np.testing.assert_array_equal(online.labels, offline.labels)
    np.testing.assert_array_equal(online.estimates, offline.estimates)
    assert len(online.estimates) > 0
    assert (online.epoch, online.n_traces, online.revision, online.timestamp) == (2, len(matrix), 0, 5000)

    chamber.document["analysis"] = {"seed": 4}
    chamber.write()
    wait_until(lambda: chamber.values()["daq_analysis_revision"] == 1, 20)
    chamber.publish(5001, matrix)
    changed = drain(chamber, 5001)
    assert changed.revision == 1
    assert not np.array_equal(changed.cloud[:, 6], online.cloud[:, 6])

    chamber.document["analysis"] = {"seed": "many"}
    chamber.write()
    wait_until(lambda: "parameters_not_changed" in chamber._log.read_text(), 20)
    chamber.publish(5002, matrix)
    assert drain(chamber, 5002).revision == 1

    # Each event is analysed or counted, and each result says how many were left out.
    wait_until(lambda: chamber.values()["daq_analysis_waiting"] == 0, RESULT_S)
    chamber.publish(5999, matrix)
    before = drain(chamber, 5999)
    for event_id in range(6000, 6060):
        chamber.publish(event_id, matrix)
    last = before
    while last.number - before.number + last.n_left_out - before.n_left_out < 60:
        last = chamber.result()
    assert last.id >= 6000

    # A worker that is killed is started again.
    (worker,) = [
        one
        for one in psutil.Process(chamber.process.pid).children()
        if "std_event_analysis.worker" in str(one.cmdline())
    ]
    worker.kill()
    wait_until(lambda: "worker_died" in chamber._log.read_text(), 20)
    wait_until(lambda: chamber.values()["daq_analysis_workers"] == 1, READY_S)
    chamber.publish(7000, matrix)
    assert drain(chamber, 7000).id == 7000
    assert chamber.end() < 1.0


def test_it_ends_within_a_second_while_its_workers_start(chamber: Chamber) -> None:
    wait_until(lambda: "started" in chamber._log.read_text(), READY_S)
    assert chamber.end() < 1.0
