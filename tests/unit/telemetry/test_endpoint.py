import select
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from std_daq.errors import PortError
from std_daq.telemetry import endpoint as endpoint_module
from std_daq.telemetry.bounded_server import MAX_CONNECTIONS
from std_daq.telemetry.endpoint import TelemetryEndpoint
from std_daq.telemetry.unix_http import UnixConnection


def status_at(path: Path) -> int:
    connection = UnixConnection(path, timeout_s=5.0)
    connection.request("GET", "/health/live")
    with connection.getresponse() as answer:
        answer.read()
        connection.close()
        return answer.status


def test_endpoint_answers_at_its_port_and_at_its_socket(runtime: Path) -> None:
    path = runtime / "one.sock"
    endpoint = TelemetryEndpoint("127.0.0.1", 0, CollectorRegistry(), lambda: None, path)
    assert endpoint.url == f"http://127.0.0.1:{endpoint.port}"
    assert status_at(path) == 200
    assert path.stat().st_mode & 0o777 == 0o660
    endpoint.close()
    assert not path.exists()


def test_socket_of_a_killed_predecessor_is_replaced_and_that_of_a_successor_stays(runtime: Path) -> None:
    path = runtime / "one.sock"
    first = TelemetryEndpoint("127.0.0.1", 0, CollectorRegistry(), lambda: None, path)
    second = TelemetryEndpoint("127.0.0.1", 0, CollectorRegistry(), lambda: None, path)
    first.close()
    assert status_at(path) == 200
    second.close()


def test_socket_that_cannot_be_made_is_told_and_leaves_no_port_open(runtime: Path) -> None:
    with pytest.raises(PortError, match=r"no/one\.sock"):
        TelemetryEndpoint("127.0.0.1", 0, CollectorRegistry(), lambda: None, runtime / "no" / "one.sock")


def test_address_that_is_none_of_this_machine_is_told() -> None:
    with pytest.raises(PortError, match=r"metrics\.address"):
        TelemetryEndpoint("192.0.2.1", 0, CollectorRegistry(), lambda: None)


def test_who_has_gone_before_the_answer_leaves_no_trace(runtime: Path, capfd: pytest.CaptureFixture[str]) -> None:
    is_asked, has_gone = threading.Event(), threading.Event()

    def why_not_ready() -> str:
        is_asked.set()
        has_gone.wait(10)
        return "x" * 100_000

    path = runtime / "one.sock"
    endpoint = TelemetryEndpoint("127.0.0.1", 0, CollectorRegistry(), why_not_ready, path)
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(str(path))
        asking.sendall(b"GET /health/ready HTTP/1.0\r\n\r\n")
        assert is_asked.wait(10)
    has_gone.set()
    endpoint.close()
    while any("process_request_thread" in thread.name for thread in threading.enumerate()):
        pass
    assert capfd.readouterr().err == ""


@contextmanager
def opened(address: str = "127.0.0.1") -> Iterator[TelemetryEndpoint]:
    endpoint = TelemetryEndpoint(address, 0, CollectorRegistry(), lambda: None)
    yield endpoint
    endpoint.close()


def test_who_keeps_many_connections_keeps_nobody_else_from_asking() -> None:
    with opened() as endpoint:
        idle = [socket.create_connection(("127.0.0.1", endpoint.port)) for _ in range(2 * MAX_CONNECTIONS)]
        with urllib.request.urlopen(f"{endpoint.url}/health/live", timeout=10) as answer:
            assert answer.status == 200
        # Each that came too many ended the oldest one.
        for connection in idle[:MAX_CONNECTIONS]:
            connection.settimeout(10)
            assert connection.recv(1) == b""
        assert sum("process_request_thread" in thread.name for thread in threading.enumerate()) <= 2 * MAX_CONNECTIONS
        for connection in idle:
            connection.close()


def test_who_asks_too_slowly_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint_module, "ASKER_TIMEOUT_S", 0.1)
    with opened() as endpoint, socket.create_connection(("127.0.0.1", endpoint.port), timeout=10) as asking:
        asking.sendall(b"GET /health/live HTTP/1.0\r\nX-Slow: ")
        assert asking.recv(1) == b""


def test_endpoint_answers_at_an_address_of_ipv6() -> None:
    with opened("::1") as endpoint:
        assert endpoint.url == f"http://[::1]:{endpoint.port}"
        with urllib.request.urlopen(f"{endpoint.url}/health/live", timeout=10) as answer:
            assert answer.status == 200


def test_threads_of_the_endpoint_leave_signals_to_the_main_thread() -> None:
    with opened():
        for thread in threading.enumerate():
            if thread.name == "telemetry":
                status = Path(f"/proc/self/task/{thread.native_id}/status").read_text()
                blocked = int(status.partition("SigBlk:")[2].split()[0], 16)
                assert blocked >> (signal.SIGTERM - 1) & 1
        assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


_ENDPOINT = """
import resource, sys, time
resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24))
from prometheus_client import CollectorRegistry
from std_daq.telemetry.endpoint import TelemetryEndpoint
endpoint = TelemetryEndpoint("127.0.0.1", 0, CollectorRegistry(), lambda: None)
print(endpoint.port, flush=True)
for line in sys.stdin:
    print(time.process_time(), flush=True)
"""


def test_endpoint_without_a_file_to_open_waits_and_does_not_compute() -> None:
    with (
        ExitStack() as idle,
        subprocess.Popen(
            [sys.executable, "-c", _ENDPOINT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process,
    ):
        lines, commands = process.stdout, process.stdin
        assert lines is not None
        assert commands is not None

        def processor_s() -> float:
            commands.write("\n")
            commands.flush()
            return float(lines.readline())

        port = int(lines.readline())
        for _ in range(30):
            idle.enter_context(socket.create_connection(("127.0.0.1", port)))
        before = processor_s()
        select.select([], [], [], 0.5)  # the time in which it could compute
        assert processor_s() - before < 0.2
        idle.close()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/live", timeout=10) as answer:
            assert answer.status == 200
        commands.close()
        assert process.wait(10) == 0
