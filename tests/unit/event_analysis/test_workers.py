"""Workers that are killed, stopped or stuck at any time, and a service that goes on."""

import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from std_daq.tpc.pads.config import PadsConfig
from std_daq.tpc.pads.load import load_pads
from std_daq.tpc.reconstruction.parameters import AnalysisParameters
from std_event_analysis.worker_link import WorkerLink, pack, read_message
from std_event_analysis.workers import Workers
from std_test_kit.wait import wait_until

LIMIT_S = 60.0


@pytest.fixture
def open_workers(tmp_path: Path) -> Iterator[Callable[..., Workers]]:
    opened: list[Workers] = []

    def open_them(n_workers: int = 1, event_timeout_s: float = LIMIT_S, **parameters: Any) -> Workers:
        opened.append(
            Workers(
                n_workers,
                tmp_path / "no-ring",
                load_pads(PadsConfig(geometry="attpc")),
                AnalysisParameters.model_validate(parameters),
                event_timeout_s=event_timeout_s,
            )
        )
        return opened[-1]

    yield open_them
    for workers in opened:
        workers.close()


def processes() -> list[psutil.Process]:
    return [one for one in psutil.Process().children() if "std_event_analysis.worker" in one.cmdline()]


def step_until(workers: Workers, condition: Callable[[], bool]) -> list[tuple[Any, ...]]:
    """Take answers until a condition is true; no step takes longer than a second."""
    answers: list[tuple[Any, ...]] = []

    def step() -> bool:
        begun_s = time.monotonic()
        answers.extend(workers.answers(0.01))
        assert time.monotonic() - begun_s < 1.0
        return condition()

    wait_until(step, LIMIT_S)
    return answers


@pytest.mark.long
def test_worker_that_is_killed_while_it_starts_is_replaced(open_workers: Callable[..., Workers]) -> None:
    workers = open_workers()
    for number in range(3):  # at once, a little later, and when it has read some of what it needs
        (process,) = processes()
        time.sleep(0.15 * number)
        process.kill()
        step_until(workers, lambda: workers.n_died > number and bool(processes()))  # noqa: B023 - waits here
    step_until(workers, lambda: workers.n_ready == 1)
    workers.give(0)
    assert step_until(workers, lambda: workers.n_free == 1) == [("overwritten",)]


def test_worker_that_stops_before_it_has_read_anything_holds_up_nobody(open_workers: Callable[..., Workers]) -> None:
    workers = open_workers(event_timeout_s=0.5)
    (process,) = processes()
    process.send_signal(signal.SIGSTOP)
    step_until(workers, lambda: workers.n_died == 1)
    assert not process.is_running()


@pytest.mark.long
def test_event_of_a_worker_that_is_stuck_is_given_up_and_told(open_workers: Callable[..., Workers]) -> None:
    workers = open_workers()
    step_until(workers, lambda: workers.n_ready == 1)
    (process,) = processes()
    process.send_signal(signal.SIGSTOP)
    workers._event_timeout_s = 0.3
    workers.give(7)
    assert step_until(workers, lambda: workers.n_died == 1) == [("timed_out",)]


def test_result_that_comes_in_pieces_is_put_together_and_the_end_is_told_after_it() -> None:
    ours, theirs = socket.socketpair()
    link = WorkerLink(ours)
    data = pack(("result", b"x" * 300_000)) + pack(("overwritten",)) + pack(("cut off",))[:-1]
    found: list[tuple[Any, ...]] = []
    for begin in range(0, len(data), 50_000):
        theirs.sendall(data[begin : begin + 50_000])
        found += link.received()
    assert found == [("result", b"x" * 300_000), ("overwritten",)]
    theirs.close()
    with pytest.raises(EOFError):
        link.received()
    link.put(("event", 1))  # to one that has ended: nothing happens
    assert not link.has_unsent
    link.close()


def test_message_that_the_other_end_does_not_read_waits_here_and_comes_whole() -> None:
    ours, theirs = socket.socketpair()
    link = WorkerLink(ours)
    message = ("begin", b"y" * 3_000_000)
    link.put(message)
    assert link.has_unsent
    got = bytearray()
    while len(got) < len(pack(message)):
        got += theirs.recv(1 << 20)
        link.send()
    assert not link.has_unsent
    assert bytes(got) == pack(message)
    theirs.sendall(b"")
    link.put(("event", 3))
    with theirs, theirs.makefile("rb") as stream:
        assert read_message(stream) == ("event", 3)
        link.close()
        assert read_message(stream) is None
