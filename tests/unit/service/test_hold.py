import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from std_test_kit.free_ports import free_tcp_port

SERVICE = """
import sys
from std_daq.config.platform import PlatformConfig
from pathlib import Path
from std_daq.errors import SharedMemoryError
from std_daq.service import ServiceDescription, hold, run_service
from std_daq.telemetry.logs import get_logger
hold.LOOK_AGAIN_S = 0.2
class Idle:
    is_ready = True
    def step(self): context.stop.wait(0.05)
    def close(self): pass
def start(c):
    global context
    context = c
    get_logger().info("looked")
    Path(c.arguments.problem).with_name("attempts").write_text("x")
    problem = Path(c.arguments.problem).read_text()
    if problem == "unforeseen": raise RuntimeError(problem)
    if problem: raise SharedMemoryError(problem)
    return Idle()
service = ServiceDescription(
    name="idle", package="idle", summary="Does nothing.", config=PlatformConfig, instances=lambda config: [],
    add_arguments=lambda parser: parser.add_argument("problem"),
)
sys.exit(run_service(service, None, start))
"""

CONFIG = {"name": "idle"}


class Held:
    """A service that holds, its configuration, and what it complains of."""

    def __init__(self, folder: Path, port: int) -> None:
        self.config = folder / "detector.json"
        self.problem = folder / "problem"
        self._url = f"http://127.0.0.1:{port}"
        os.mkfifo(folder / "attempts")
        self._attempts = os.open(folder / "attempts", os.O_RDWR)
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVICE, "--config", str(self.config), str(self.problem)],
            stderr=subprocess.PIPE,
            text=True,
        )

    def complain(self, problem: str) -> None:
        """Change, at one moment, of what the next attempt will complain."""
        changed = self.problem.with_suffix(".new")
        changed.write_text(problem)
        changed.rename(self.problem)

    def next_line(self) -> dict[str, Any]:
        assert self.process.stderr is not None
        line: dict[str, Any] = json.loads(self.process.stderr.readline())
        return line

    def await_attempts(self, n: int) -> None:
        """Wait until it has tried to start so many times since this was asked."""
        os.set_blocking(self._attempts, False)
        with suppress(BlockingIOError):
            os.read(self._attempts, 100)
        os.set_blocking(self._attempts, True)
        for _ in range(n):
            os.read(self._attempts, 1)

    def ask(self, path: str) -> tuple[int, dict[str, Any]]:
        """Ask the endpoint, again and again while the process is between two attempts."""
        while True:
            try:
                with urllib.request.urlopen(self._url + path, timeout=5) as answer:
                    return answer.status, json.loads(answer.read())
            except urllib.error.HTTPError as refused:
                with refused:
                    return refused.code, json.loads(refused.read())
            except OSError:
                assert self.process.poll() is None

    def close(self) -> None:
        """Leave nothing behind."""
        self.process.kill()
        self.process.communicate()
        os.close(self._attempts)

    def end(self) -> tuple[int, list[str]]:
        """End the service; returns its exit code and the events of the log since the last line that was taken."""
        self.process.send_signal(signal.SIGTERM)
        _, err = self.process.communicate(timeout=20)
        return self.process.returncode, [json.loads(line)["event"] for line in err.splitlines()]


@pytest.fixture
def folder(tmp_path: Path, runtime: Path) -> Path:
    (tmp_path / "detector.json").write_text(json.dumps(CONFIG))
    (tmp_path / "problem").write_text("")
    return tmp_path


@contextmanager
def held(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    port = free_tcp_port()
    monkeypatch.setenv("STD_DAQ_METRICS_PORT", str(port))
    monkeypatch.setenv("STD_DAQ_HOLD", "1")
    service = Held(folder, port)
    try:
        yield service
    finally:
        service.close()


def test_service_that_cannot_start_stays_alive_and_tells_why(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "problem").write_text("/dev/shm is too small")
    with held(folder, monkeypatch) as service:
        assert service.next_line()["event"] == "looked"
        told = service.next_line()
        assert (told["event"], told["error"]) == ("cannot_start", "/dev/shm is too small")
        assert service.ask("/health/live") == (200, {"ok": True})
        assert service.ask("/health/ready") == (503, {"ok": False, "reason": "/dev/shm is too small"})
        assert service.end() == (0, ["ended"])


@pytest.mark.long
def test_each_reason_is_logged_once_however_often_it_is_looked_at(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "problem").write_text("first")
    with held(folder, monkeypatch) as service:
        assert [service.next_line().get("error") for _ in range(2)] == [None, "first"]
        service.await_attempts(3)
        service.complain("second")
        assert [service.next_line().get("error") for _ in range(2)] == [None, "second"]
        service.complain("")
        assert [service.next_line()["event"] for _ in range(2)] == ["looked", "started"]
        assert service.ask("/health/ready") == (200, {"ok": True})
        assert service.end() == (0, ["ended"])


def test_configuration_that_cannot_be_read_holds_and_is_read_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "detector.json").write_text("{")
    with held(folder, monkeypatch) as service:
        error = service.next_line()["error"]
        assert f"{folder}/detector.json: is not JSON" in error
        assert service.ask("/health/ready") == (503, {"ok": False, "reason": error})
        service.config.write_text(json.dumps(CONFIG))
        assert [service.next_line()["event"] for _ in range(2)] == ["looked", "started"]


def test_unforeseen_error_ends_the_process_also_when_it_holds(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "problem").write_text("first")
    with held(folder, monkeypatch) as service:
        assert [service.next_line()["event"] for _ in range(2)] == ["looked", "cannot_start"]
        service.complain("unforeseen")
        assert [service.next_line()["event"] for _ in range(2)] == ["looked", "unexpected_error"]
        assert service.process.wait(20) == 1


def test_taken_port_is_a_reason_to_hold(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setattr(f"{__name__}.free_tcp_port", lambda: taken.getsockname()[1])
        with held(folder, monkeypatch) as service:
            assert "--metrics-port" in service.next_line()["error"]
            taken.close()
            assert [service.next_line()["event"] for _ in range(2)] == ["looked", "started"]
