"""One request for two detectors: real agents and a real broker, writers that follow the StoreStream."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest

from std_daq.cli.__main__ import main
from std_daq.client import DaqClient, RunGroup, write_together
from std_daq.config.paths import make_runtime_dir
from std_daq.config.up_lock import UpLock
from std_daq.errors import BrokerError, RequestRefusedError
from std_daq.imaging.config.model import DetectorConfig
from std_daq.recording.requests import Verdict
from std_test_kit.agent import AgentThread, MakeRing, make_config, publish
from std_test_kit.store_driver import RingPublisher
from std_test_kit.store_writer import FakeStoreWriter, StoreWriterThread

LIMIT_S = 20.0


class Stage:
    """Two detectors of a beamline."""

    def __init__(self, configs: list[DetectorConfig], rings: list[RingPublisher], url: str, folder: Path) -> None:
        self.configs = configs
        self.rings = rings
        self.url = url
        self.folder = folder
        self.writers = [FakeStoreWriter(), FakeStoreWriter()]
        self.options = []
        for config in configs:
            file = folder / f"{config.name}.json"
            file.write_text(config.model_dump_json(exclude_defaults=True))
            self.options += ["--config", str(file)]

    @property
    def clients(self) -> list[DaqClient]:
        return [DaqClient(config, self.url) for config in self.configs]

    def write(self, **fields: object) -> RunGroup:
        return write_together(self.clients, self.folder / "run_{detector}.h5", **fields)

    def wait_for_first_images(self, group: RunGroup) -> None:
        waiting: set[str] = set()
        deadline = time.monotonic() + LIMIT_S
        while len(waiting) < 2:
            assert time.monotonic() < deadline
            waiting |= {name for name, status in group.poll() if "waiting for the first" in status.message}

    def publish(self, n_images: int) -> None:
        for ring in self.rings:
            publish(ring, range(n_images))


@pytest.fixture
def stage(broker_url: str, tag: str, shm_dir: Path, ring_of: MakeRing, tmp_path: Path) -> Iterator[Stage]:
    configs = []
    for name in ("saxs", "waxs"):
        config = make_config(shm_dir, f"{tag}{name}").model_copy(update={"name": name})
        make_runtime_dir(config)
        configs.append(config)
    stage = Stage(configs, [ring_of(config) for config in configs], broker_url, tmp_path)
    with ExitStack() as stack:
        for config, writer in zip(configs, stage.writers, strict=True):
            stack.enter_context(StoreWriterThread(config, writer))
            stack.enter_context(AgentThread(config, broker_url))
        yield stage


def test_both_are_complete(stage: Stage) -> None:
    heard: set[str] = set()
    with stage.write(n_images=5) as group:
        stage.wait_for_first_images(group)
        stage.publish(5)
        report = group.wait(LIMIT_S, lambda name, _: heard.add(name))
    assert (report.verdict, report.reason) == (Verdict.COMPLETE, "")
    assert heard == {"saxs", "waxs"}
    assert {name: one.files for name, one in report.reports.items()} == {
        name: (str(stage.folder / f"run_{name}.h5"),) for name in ("saxs", "waxs")
    }


def test_verdict_names_the_detector_that_failed_and_the_other_goes_on(stage: Stage) -> None:
    stage.writers[1].fail_at = 2
    with stage.write(n_images=5) as group:
        stage.wait_for_first_images(group)
        stage.publish(5)
        report = group.wait(LIMIT_S)
    assert report.verdict is Verdict.FAILED
    assert report.reason.startswith("waxs is failed: h5_writer 0: no space left on device")
    assert report.reports["saxs"].verdict is Verdict.COMPLETE


def test_refusal_of_one_kills_the_other(stage: Stage) -> None:
    (stage.folder / "run_waxs.h5").touch()
    with stage.write(n_images=5) as group:
        report = group.wait(LIMIT_S)
    assert report.verdict is Verdict.REFUSED
    assert report.reason.startswith("waxs is refused: ")
    assert "saxs is killed" in report.reason


@pytest.mark.long
def test_command_ends_with_the_worst_verdict_and_ctrl_c_kills_all(stage: Stage) -> None:
    arguments = ["write", *stage.options, "--output-file", str(stage.folder / "run_{detector}.h5"), "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "std_daq.cli", *arguments],
        env={**os.environ, "STD_DAQ_BROKER_URL": stage.url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    waiting: set[str] = set()
    timer = threading.Timer(LIMIT_S, process.kill)
    timer.start()
    for line in process.stderr:
        if "waiting for the first" in line:
            waiting.add(json.loads(line)["detector"])
        if len(waiting) == 2:
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=LIMIT_S)
    timer.cancel()
    timer.join()
    assert process.returncode == Verdict.KILLED.exit_code, err
    document = json.loads(out)
    assert document["verdict"] == "killed"
    assert {name: report["verdict"] for name, report in document["detectors"].items()} == {
        "saxs": "killed",
        "waxs": "killed",
    }


def test_text_of_the_command_has_a_part_for_each_detector(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STD_DAQ_BROKER_URL", stage.url)
    (stage.folder / "run_saxs.h5").touch()
    target = ["--output-file", str(stage.folder / "run_{detector}.h5"), "--n-images", "3"]
    assert main(["write", *stage.options, *target]) == Verdict.REFUSED.exit_code
    first, *rest = capsys.readouterr().out.splitlines()
    assert first.startswith("refused: saxs is refused: ")
    assert [line for line in rest if line in {"saxs", "waxs"}] == ["saxs", "waxs"]
    assert main(["write", *stage.options, "--output-file", str(stage.folder / "run.h5")]) == 2
    assert "put {detector} into it" in capsys.readouterr().err


@pytest.mark.long
def test_kill_ends_the_runs_of_all_and_tells_which_had_none(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STD_DAQ_BROKER_URL", stage.url)
    target = ["--output-file", str(stage.folder / "run_{detector}.h5")]
    assert main(["write", *stage.options, *target, "--detach", "--json"]) == 0
    ids = json.loads(capsys.readouterr().out)["detectors"]
    assert main(["kill", *stage.options, *ids.values(), "--wait-s", str(LIMIT_S), "--json"]) == 4
    document = json.loads(capsys.readouterr().out)
    assert {name: report["request_id"] for name, report in document["detectors"].items()} == ids
    assert document["verdict"] == "killed"

    with stage.clients[1].write(stage.folder / "alone.h5") as run:
        unknown = str(uuid.uuid4())
        assert main(["kill", *stage.options, unknown, run.request_id]) == 1
        assert run.wait(LIMIT_S).verdict is Verdict.KILLED
    out, err = capsys.readouterr()
    assert out == f"waxs {run.request_id}\n"
    assert f"saxs: request {unknown} is not killed: no request of this id is known" in err

    with stage.clients[1].write(stage.folder / "again.h5") as run:
        assert main(["kill", *stage.options, unknown, run.request_id, "--wait-s", str(LIMIT_S), "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["detectors"]["waxs"]["verdict"] == "killed"
    assert list(document["problems"]) == ["saxs"]
    assert "no request of this id is known" in document["problems"]["saxs"]


def test_services_that_end_while_they_start_keep_no_other_run_from_its_end(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STD_DAQ_BROKER_URL", stage.url)
    starting = ExitStack()
    starting.enter_context(UpLock(stage.configs[0]))
    # It ends when somebody waits for it.
    clock = SimpleNamespace(sleep=lambda _: starting.close(), monotonic=time.monotonic)
    monkeypatch.setattr("std_daq.cli.starting.time", clock)
    with stage.clients[1].write(stage.folder / "alone.h5") as run:
        assert main(["kill", *stage.options, str(uuid.uuid4()), run.request_id]) == 1
        assert run.wait(LIMIT_S).verdict is Verdict.KILLED
    assert "saxs: the services of saxs ended before they were ready" in capsys.readouterr().err


def test_kill_needs_an_id_for_each_detector(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["kill", *stage.options, str(uuid.uuid4())]) == 2
    assert "argument REQUEST_ID: 1 for 2 --config; give one for each" in capsys.readouterr().err


def test_two_configurations_of_one_detector_are_refused(stage: Stage) -> None:
    with pytest.raises(RequestRefusedError, match="two configurations have the detector_name 'saxs'"):
        write_together([stage.clients[0]] * 2, "run_{detector}.h5")


def test_if_the_second_request_cannot_be_sent_the_first_is_killed(stage: Stage) -> None:
    other = stage.configs[1]
    broker = other.broker.model_copy(update={"tag": "nobody-has-this"})
    nobody = DaqClient(other.model_copy(update={"broker": broker}), stage.url)
    with pytest.raises(BrokerError, match="no queue at the broker"):
        write_together([stage.clients[0], nobody], stage.folder / "run_{detector}.h5")
    with stage.write(n_images=2) as group:  # the detector is free again
        stage.wait_for_first_images(group)
        stage.publish(2)
        assert group.wait(LIMIT_S).verdict is Verdict.COMPLETE
