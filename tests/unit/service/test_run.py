import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from std_test_kit.free_ports import free_tcp_port

SERVICE = """
import sys, time
from std_daq.config.platform import PlatformConfig
from std_daq.errors import PortError
from std_daq.service import ServiceDescription, run_service
class Idle:
    @property
    def why_not_ready(self): return "waiting for Godot" if context.arguments.then == "wait" else None
    @property
    def is_ready(self): return self.why_not_ready is None
    def step(self):
        if context.arguments.then == "raise": raise RuntimeError("unforeseen")
        context.stop.wait(0.05)
    def close(self): print("closed", flush=True)
def start(c):
    global context
    context = c
    if c.arguments.then == "port": raise PortError("port 5 is taken")
    print("began", flush=True)
    return Idle()
service = ServiceDescription(
    name="idle", package="idle", summary="Does nothing.", config=PlatformConfig, instances=lambda config: [],
    add_arguments=lambda parser: parser.add_argument("--then", default=""),
)
sys.exit(run_service(service, None, start))
"""

CONFIG = {"name": "idle"}


@pytest.fixture
def config_file(tmp_path: Path, runtime: Path) -> Path:
    file = tmp_path / "detector.json"
    file.write_text(json.dumps(CONFIG))
    return file


def start(config_file: Path, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", SERVICE, "--config", str(config_file), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def running(config_file: Path, *arguments: str) -> "Iterator[subprocess.Popen[str]]":
    """Run a service that has begun, and end it."""
    with start(config_file, *arguments) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        assert json.loads(process.stderr.readline())["event"] == "started"
        try:
            yield process
        finally:
            process.terminate()
            process.communicate(timeout=20)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_service_drains_and_ends_with_0_on_a_signal(config_file: Path, number: signal.Signals) -> None:
    with start(config_file) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "began\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 0
    assert out == "closed\n"
    assert [json.loads(line)["event"] for line in err.splitlines()] == ["started", "ended"]


def test_endpoint_of_a_service_is_found_by_its_record(config_file: Path, runtime: Path) -> None:
    with start(config_file) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert process.stderr is not None
        process.stderr.readline()
        record = json.loads((runtime / "idle/services/idle.json").read_text())
        assert record["pid"] == process.pid
        with urllib.request.urlopen(f"{record['url']}/health/ready", timeout=5) as answer:
            assert answer.status == 200
        with urllib.request.urlopen(f"{record['url']}/metrics", timeout=5) as answer:
            assert b'daq_build_info{service="idle"' in answer.read()
        with pytest.raises(urllib.error.HTTPError, match="404") as refused:
            urllib.request.urlopen(f"{record['url']}/else", timeout=5)
        refused.value.close()
        process.terminate()
        process.communicate(timeout=20)
    assert not (runtime / "idle/services/idle.json").exists()


def test_service_that_waits_says_for_what(config_file: Path, runtime: Path) -> None:
    with running(config_file, "--then", "wait") as process:
        record = json.loads((runtime / "idle/services/idle.json").read_text())
        with pytest.raises(urllib.error.HTTPError, match="503") as refused:
            urllib.request.urlopen(f"{record['url']}/health/ready", timeout=5)
        assert json.loads(refused.value.read()) == {"ok": False, "reason": "waiting for Godot"}
        refused.value.close()
        assert process.poll() is None


def test_port_and_address_of_the_endpoint_come_from_the_environment(
    config_file: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_tcp_port()
    monkeypatch.setenv("STD_DAQ_METRICS_PORT", str(port))
    monkeypatch.setenv("STD_DAQ_METRICS_ADDRESS", "127.0.0.2")
    with (
        running(config_file),
        urllib.request.urlopen(f"http://127.0.0.2:{port}/health/live", timeout=5) as answer,
    ):
        assert answer.status == 200


@pytest.mark.parametrize("port", ["eighty", "-1", "65536", "8080 "])
def test_wrong_port_in_the_environment_is_named(config_file: Path, monkeypatch: pytest.MonkeyPatch, port: str) -> None:
    monkeypatch.setenv("STD_DAQ_METRICS_PORT", port)
    with start(config_file) as process:
        _, err = process.communicate(timeout=20)
    assert process.returncode == 2
    assert f"'{port}' is not a port from 0 to 65535 (see also STD_DAQ_METRICS_PORT)" in err


def test_wrong_configuration_ends_with_2_and_names_the_key(config_file: Path) -> None:
    config_file.write_text(json.dumps({**CONFIG, "log_lvel": "info"}))
    with start(config_file) as process:
        _, err = process.communicate(timeout=20)
    assert process.returncode == 2
    assert "did you mean 'log_level'" in err


def test_what_the_machine_does_not_give_ends_with_1_and_the_reason(config_file: Path) -> None:
    with start(config_file, "--then", "port") as process:
        _, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "port 5 is taken" in err


def test_unforeseen_error_ends_with_1_and_a_traceback_after_closing(config_file: Path) -> None:
    with start(config_file, "--then", "raise") as process:
        out, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "RuntimeError: unforeseen" in err
    assert out == "began\nclosed\n"


def test_taken_metrics_port_is_named(config_file: Path) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with start(config_file, "--metrics-port", str(taken.getsockname()[1])) as process:
            _, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "--metrics-port" in err


def test_supervised_service_ends_with_its_supervisor(config_file: Path) -> None:
    supervisor = (
        "import os, subprocess, sys\n"
        "child = subprocess.Popen(sys.argv[1:], env=os.environ | {'STD_DAQ_SUPERVISOR_PID': str(os.getpid())}, "
        "stdout=subprocess.PIPE, text=True)\n"
        "child.stdout.readline(); print(child.pid, flush=True); child.wait()\n"
    )
    service = [sys.executable, "-c", SERVICE, "--config", str(config_file)]
    with subprocess.Popen(
        [sys.executable, "-c", supervisor, *service], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        pidfd = os.pidfd_open(child)
        process.kill()
        import select

        assert select.select([pidfd], [], [], 20)[0], "the service went on without its supervisor"
        os.close(pidfd)
