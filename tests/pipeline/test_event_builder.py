"""The event builder as a process: its life, kills, and the commands around it."""

import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from std_daq.tpc.events.event_reader import EventReader
from std_test_kit.tpc_builder_process import BuilderProcess, tpc_document
from std_test_kit.tpc_chaos import ChaoticChamber
from std_test_kit.tpc_exporters import HOST, ScriptedExporter, message_of
from std_test_kit.wait import wait_until

CHAOS_S = 5.0


@pytest.fixture
def exporter() -> Iterator[ScriptedExporter]:
    exporter = ScriptedExporter()
    yield exporter
    exporter.close()


@pytest.fixture
def open_builder(tmp_path: Path, shm_dir: Path, runtime: Path) -> Iterator[Callable[..., BuilderProcess]]:
    processes: list[BuilderProcess] = []

    def open_it(*addresses: str, **keys: object) -> BuilderProcess:
        processes.append(BuilderProcess(tmp_path, tpc_document(shm_dir, runtime, list(addresses), **keys)))
        processes[-1].start()
        return processes[-1]

    yield open_it
    for process in processes:
        process.close()


def check_end(builder: BuilderProcess) -> None:
    code, took_s = builder.end()
    assert code == 0, builder.log
    assert took_s < 1.0, builder.log


@pytest.mark.alone
def test_builder_without_any_exporter_is_ready_and_ends_at_once(open_builder: Callable[..., BuilderProcess]) -> None:
    check_end(open_builder(f"{HOST}:1", "no-such-host.invalid:46491"))


@pytest.mark.long
@pytest.mark.alone
def test_builder_that_is_connecting_ends_at_once(open_builder: Callable[..., BuilderProcess]) -> None:
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind((HOST, 0))
        listener.listen(0)
        for client in (first, second):  # nobody accepts: the queue is full, and the kernel answers no further attempt
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        check_end(open_builder(f"{HOST}:{listener.getsockname()[1]}"))


@pytest.mark.long
@pytest.mark.alone
@pytest.mark.parametrize("n_sent", [0, 20])
def test_builder_that_is_idle_or_within_a_frame_ends_at_once(
    open_builder: Callable[..., BuilderProcess], exporter: ScriptedExporter, n_sent: int
) -> None:
    builder = open_builder(exporter.address, boards=[[0, 0], [0, 1]])
    wait_until(lambda: bool(exporter.accept()), 10.0)
    data = message_of(1, (0, 0)) + message_of(2, (0, 0))[:n_sent]
    exporter.send(data)
    wait_until(lambda: builder.scrape().total("daq_builder_bytes_total") == len(data), 10.0)
    check_end(builder)
    with EventReader(builder.config, start="oldest") as events:
        event = events.next(0)
        assert event is not None
        assert event.missing_boards.tolist() == [[0, 1]]


def test_ring_stays_and_the_next_builder_begins_a_new_run(
    open_builder: Callable[..., BuilderProcess], exporter: ScriptedExporter
) -> None:
    builder = open_builder(exporter.address, boards=[[0, 0]])
    with EventReader(builder.config) as events:
        for run in range(2):
            wait_until(lambda: bool(exporter.accept()), 10.0)
            for number in range(3):
                exporter.send(message_of(number, (0, 0)))
            found = [events.next(10.0) for _ in range(3)]
            assert [(event.epoch, event.id) for event in found if event] == [(run, number) for number in range(3)]
            builder.end(signal.SIGKILL)
            exporter.disconnect()
            builder.start()


@pytest.mark.long
def test_account_adds_up_whoever_is_killed(runtime: Path, shm_dir: Path, pytestconfig: pytest.Config) -> None:
    with ChaoticChamber(runtime, shm_dir, pytestconfig.getoption("seed")) as chamber:
        chamber.live(CHAOS_S)
        chamber.check_account()
        assert chamber.n_complete > 0
