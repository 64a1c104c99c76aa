import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from prometheus_client import CollectorRegistry

from std_daq.service.healthcheck import ADDRESS_VARIABLE, PORT_VARIABLE, main
from std_daq.telemetry.endpoint import TelemetryEndpoint
from std_test_kit.free_ports import free_tcp_port

# The health check runs every few seconds in each container.
LOADED = """
import sys
before = set(sys.modules)
import std_daq.service.healthcheck
print(*(set(sys.modules) - before))
"""
OUR_OWN = {"std_daq", "std_daq.service", "std_daq.service.healthcheck"}
COSTLY = {"asyncio", "importlib.metadata", "multiprocessing", "subprocess", "unittest"}


@contextmanager
def service(why_not_ready: Callable[[], str | None]) -> Iterator[str]:
    endpoint = TelemetryEndpoint("127.0.0.1", 0, CollectorRegistry(), why_not_ready)
    yield endpoint.url
    endpoint.close()


def check(*arguments: str, port: str | None = None) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if name != PORT_VARIABLE}
    return subprocess.run(
        [sys.executable, "-m", "std_daq.service.healthcheck", *arguments],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        env=environment if port is None else environment | {PORT_VARIABLE: port},
    )


def test_ready_service_is_healthy() -> None:
    with service(lambda: None) as url:
        checked = check(port=url.rpartition(":")[2])
    assert (checked.returncode, checked.stdout) == (0, "ready\n")


def test_reason_of_a_service_that_is_not_ready_is_told_in_one_line() -> None:
    with service(lambda: "waiting for the ImageBuffer") as url:
        checked = check(port=url.rpartition(":")[2])
    assert (checked.returncode, checked.stdout) == (1, "waiting for the ImageBuffer\n")


def test_service_that_answers_is_live_and_why_it_is_not_ready_is_told_all_the_same() -> None:
    with service(lambda: "waiting for the ImageBuffer") as url:
        checked = check("--live", port=url.rpartition(":")[2])
    assert (checked.returncode, checked.stdout) == (0, "waiting for the ImageBuffer\n")


def test_service_that_does_not_answer_is_not_live() -> None:
    checked = check("--live", port=str(free_tcp_port()))
    assert checked.returncode == 1


@pytest.mark.parametrize(
    ("configured", "asked"), [("127.0.0.2", "127.0.0.2"), ("0.0.0.0", "127.0.0.1"), ("::1", "::1"), ("::", "::1")]
)
def test_service_is_asked_where_it_listens(monkeypatch: pytest.MonkeyPatch, configured: str, asked: str) -> None:
    endpoint = TelemetryEndpoint(asked, 0, CollectorRegistry(), lambda: None)
    monkeypatch.setenv(PORT_VARIABLE, str(endpoint.port))
    monkeypatch.setenv(ADDRESS_VARIABLE, configured)
    assert main([]) == 0
    endpoint.close()


@pytest.mark.parametrize("path", ["", "/", "/health/ready"])
def test_service_may_be_given_by_its_url(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    with service(lambda: None) as url:
        assert main([url + path]) == 0
    assert capsys.readouterr().out == "ready\n"


def test_service_that_does_not_answer_is_not_healthy() -> None:
    port = free_tcp_port()
    checked = check(port=str(port))
    assert checked.returncode == 1
    assert f"nothing answers at 127.0.0.1:{port}" in checked.stdout


@pytest.mark.parametrize("port", ["eighty", "99999", "8080/x"])
def test_wrong_port_is_not_healthy_and_no_traceback(port: str) -> None:
    checked = check(port=port)
    assert checked.returncode == 1
    assert checked.stderr == ""


def test_without_a_port_the_variable_is_named() -> None:
    checked = check()
    assert checked.returncode == 1
    assert PORT_VARIABLE in checked.stderr


def test_check_loads_nothing_but_a_little_of_the_standard_library() -> None:
    ended = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, timeout=20, check=True)
    loaded = set(ended.stdout.split())
    assert loaded >= OUR_OWN
    assert {name for name in loaded - OUR_OWN if name.partition(".")[0] not in sys.stdlib_module_names} == set()
    assert loaded & COSTLY == set()
