"""What a service tells systemd: that it has started, how it is, and that it is alive."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from std_daq.service.notify import PERIOD_S, ManagerNotifier


@pytest.fixture(params=["file", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    name = str(tmp_path / "notify") if request.param == "file" else f"@std-daq-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(name.replace("@", "\0"))
        listener.setblocking(False)
        yield listener, name


def _received(listener: socket.socket) -> list[str]:
    texts = []
    while True:
        try:
            texts.append(listener.recv(4096).decode())
        except BlockingIOError:
            return texts


def test_start_status_and_end_are_told_in_order(manager: tuple[socket.socket, str]) -> None:
    listener, name = manager
    notifier = ManagerNotifier(lambda: None, {"NOTIFY_SOCKET": name})
    notifier.tell_status("compiling")
    notifier.tell_started()
    notifier.beat()
    notifier.tell_ending()
    assert _received(listener) == ["STATUS=compiling", "READY=1", "STATUS=ready", "STOPPING=1"]


def test_watchdog_hears_of_the_main_loop_once_a_second_and_status_only_when_it_changes(
    manager: tuple[socket.socket, str],
) -> None:
    listener, name = manager
    now_s, reason = [0.0], ["no\nring"]
    environ = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}
    notifier = ManagerNotifier(lambda: reason[0], environ, lambda: now_s[0])
    for _ in range(100):
        notifier.beat()
    assert _received(listener) == ["STATUS=not ready: no ring", "WATCHDOG=1"]
    now_s[0] += PERIOD_S
    notifier.beat()
    assert _received(listener) == ["WATCHDOG=1"]


def test_watchdog_of_another_process_is_not_fed(manager: tuple[socket.socket, str]) -> None:
    listener, name = manager
    environ = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}
    ManagerNotifier(lambda: None, environ).beat()
    assert _received(listener) == ["STATUS=ready"]


def test_manager_that_is_gone_or_reads_nothing_stops_nobody(tmp_path: Path) -> None:
    ManagerNotifier(lambda: None, {"NOTIFY_SOCKET": str(tmp_path / "nobody")}).tell_started()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "deaf"))
        notifier = ManagerNotifier(lambda: None, {"NOTIFY_SOCKET": str(tmp_path / "deaf")})
        for _ in range(2000):
            notifier.tell_started()


def test_without_systemd_nobody_is_asked() -> None:
    notifier = ManagerNotifier(lambda: pytest.fail("asked"), {})
    notifier.tell_started()
    notifier.beat()
    notifier.tell_ending()


def test_start_with_another_configuration_is_no_end_and_has_time(manager: tuple[socket.socket, str]) -> None:
    listener, name = manager
    environ = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}
    notifier = ManagerNotifier(lambda: None, environ)
    notifier.tell_restarting()
    notifier.tell_started()
    assert _received(listener) == [
        "RELOADING=1\nSTATUS=takes another configuration\nWATCHDOG_USEC=1800000000",
        "READY=1\nWATCHDOG_USEC=30000000",
    ]
