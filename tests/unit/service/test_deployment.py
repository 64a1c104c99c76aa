"""A replaced configuration, and the services that have read the one before."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from std_daq.config.paths import runtime_dir
from std_daq.config.platform import PlatformConfig
from std_daq.service.deployment import DeploymentWatch, request_deployment
from std_daq.service.record import read_records
from std_daq.service.supervisor import ServiceCommand, Supervisor
from std_test_kit.wait import wait_until


@pytest.fixture
def config(runtime: Path) -> PlatformConfig:
    assert runtime.is_dir()
    return PlatformConfig(name="deployed")


def test_configuration_that_was_read_before_is_superseded_once(config: PlatformConfig) -> None:
    watch = DeploymentWatch(config, time.time_ns())
    assert not watch.is_superseded()
    request_deployment(config)
    assert watch.is_superseded()
    assert not watch.is_superseded()
    assert not DeploymentWatch(config, time.time_ns()).is_superseded()


def test_what_was_asked_in_the_future_or_is_no_request_changes_nothing(config: PlatformConfig) -> None:
    request_deployment(config, clock=lambda: time.time_ns() + 10**12)
    assert not DeploymentWatch(config, 0).is_superseded()
    for content in ("", "{}", "[]", '{"requested_ns": null}', "[" * 100_000, "\0"):
        (runtime_dir(config) / "deployment.json").write_text(content)
        assert not DeploymentWatch(config, 0).is_superseded()


SERVICE = """
import sys
sys.path.insert(0, sys.argv.pop(1))
from prometheus_client import Gauge
from std_daq.config.platform import PlatformConfig
from std_daq.service import ServiceDescription, run_service

class Waiting:
    is_ready = True
    def step(self):
        import time
        time.sleep(0.05)
    def close(self):
        pass

def start(context):
    Gauge("daq_level", "", ["level"], registry=context.registry).labels(context.config.log_level).set(1)
    return Waiting()

DESCRIPTION = ServiceDescription(
    name="waiting", package="waiting", summary="Waits.", config=PlatformConfig, instances=lambda config: []
)
sys.exit(run_service(DESCRIPTION, None, start))
"""


def test_service_starts_again_with_the_new_configuration_whoever_has_started_it(
    config: PlatformConfig, tmp_path: Path
) -> None:
    file, program = tmp_path / "config.json", tmp_path / "waiting.py"
    file.write_text(json.dumps({"name": "deployed", "log_level": "info"}))
    program.write_text(SERVICE)
    process = subprocess.Popen([sys.executable, str(program), str(tmp_path), "--config", str(file)], env=os.environ)
    try:
        wait_until(lambda: len(read_records(config)) == 1, 30.0)
        first = read_records(config)[0]
        file.write_text(json.dumps({"name": "deployed", "log_level": "warning"}))
        request_deployment(config)
        wait_until(lambda: any(one.started_ns > first.started_ns for one in read_records(config)), 30.0)
        assert read_records(config)[0].pid == first.pid == process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_supervisor_takes_other_services_and_leaves_those_that_stay(config: PlatformConfig, tmp_path: Path) -> None:
    (tmp_path / "sleeping.py").write_text(
        "import sys, time, pathlib, os\npathlib.Path(sys.argv[1]).write_text(str(os.getpid()))\ntime.sleep(60)\n"
    )

    def command(name: str) -> ServiceCommand:
        return ServiceCommand(name, "sleeping", (str(tmp_path / name),))

    supervisor = Supervisor(config, [command("one"), command("two")], lambda *_: None, {"PYTHONPATH": str(tmp_path)})
    supervisor.start()
    try:
        wait_until(lambda: all((tmp_path / name).exists() for name in ("one", "two")), 30.0)
        kept = (tmp_path / "two").read_text()
        supervisor.take([command("two"), command("three")])
        wait_until((tmp_path / "three").exists, 30.0)
        assert (tmp_path / "two").read_text() == kept
        assert not Path(f"/proc/{(tmp_path / 'one').read_text()}").exists()
    finally:
        supervisor.stop()
