"""The writer agent with a real broker, ring and sockets; the writers follow the StoreStream but write nothing."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from std_daq.amqp.messages import Message
from std_daq.amqp.topology import REQUEST, refused_queue
from std_daq.config.paths import make_runtime_dir
from std_daq.imaging.config.load import parse_config
from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.config.paths import image_buffer_path
from std_daq.rabbitmq.throwaway import ThrowawayBroker
from std_daq.recording.request_channel import RequestPublisher
from std_daq.recording.requests import Action, StatusMessage, Verdict, WriteRequest, new_request_id
from std_daq.recording.status_channel import StatusListener
from std_test_kit.services import service_context
from std_test_kit.store_driver import RingPublisher
from std_test_kit.store_writer import FakeStoreWriter, StoreWriterThread
from std_writer_agent.__main__ import start
from std_writer_agent.agent import WriterAgent

POSITIONS = {0: (0, 258, 513, 513), 1: (516, 258, 1029, 513), 2: (0, 255, 513, 0), 3: (516, 255, 1029, 0)}


def make_config(shm_dir: Path, tag: str, **writer: Any) -> DetectorConfig:
    config = parse_config(
        {
            "detector_name": "eiger",
            "detector_type": "eiger",
            "n_modules": 4,
            "bit_depth": 16,
            "image_pixel_height": 514,
            "image_pixel_width": 1030,
            "start_udp_port": 50000,
            "module_positions": POSITIONS,
            "number_of_writers": writer.pop("number_of_writers", 1),
            "shared_memory": {"directory": str(shm_dir)},
            "broker": {"tag": tag},
            "writer": {"image_timeout_s": 2.0, "writer_timeout_s": 3.0, "min_free_gb": 0, **writer},
        }
    )
    make_runtime_dir(config)
    return config


class AgentThread:
    """The agent in a thread, until the end of the block or a stop."""

    def __init__(self, config: DetectorConfig, url: str, *, has_broker: bool = True) -> None:
        self._context = service_context(config, broker_url=url)
        self._thread = threading.Thread(target=self._run, name="agent")
        self._has_broker = has_broker
        self.is_ready = threading.Event()
        self.agent: WriterAgent | None = None
        self.error: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        assert self.is_ready.wait(10) or not self._has_broker
        assert self.error is None
        return self

    def __exit__(self, *_: object) -> None:
        self._context.stop.set()
        self._thread.join()
        assert self.error is None

    def _run(self) -> None:
        try:
            agent = start(self._context)
            assert isinstance(agent, WriterAgent)
            self.agent = agent
            while not self._context.stop.is_set():
                agent.step()
                if agent.is_ready:
                    self.is_ready.set()
            agent.close()
        except Exception as error:  # noqa: BLE001 - told to the test
            self.error = error
            self.is_ready.set()


class Client:
    """Sends requests and hears statuses of one tag."""

    def __init__(self, url: str, tag: str) -> None:
        self.listener = StatusListener(url)
        self._publisher = RequestPublisher(self.listener.connection, tag)
        self._tag = tag
        self.heard: dict[str, list[StatusMessage]] = {}

    def __enter__(self) -> Self:
        self.listener.__enter__()
        self.listener.connection.wait_connected(10)
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.connection.close()

    def write(self, path: Path | str, *, request_id: str | None = None, **fields: Any) -> str:
        return self._publisher.publish(WriteRequest(output_file=str(path), **fields), request_id=request_id)

    def kill(self, request_id: str) -> None:
        self._publisher.kill(request_id)

    def send(self, body: bytes, correlation_id: str) -> None:
        message = Message(
            exchange=REQUEST, routing_key=self._tag, body=body, correlation_id=correlation_id, is_mandatory=True
        )
        self.listener.connection.publish(message).result(10)

    def hear(self, timeout_s: float = 0.0) -> None:
        status = self.listener.receive(timeout_s)
        if status is not None and status.source == self._tag:
            self.heard.setdefault(status.request_id, []).append(status)

    def wait_for(self, request_id: str, action: Action, timeout_s: float = 20.0) -> StatusMessage:
        return self.wait_until(request_id, lambda status: status.action is action, timeout_s)

    def wait_for_end(self, request_id: str, timeout_s: float = 20.0) -> StatusMessage:
        return self.wait_until(request_id, lambda status: status.action.is_final, timeout_s)

    def wait_until(
        self, request_id: str, is_it: Callable[[StatusMessage], bool], timeout_s: float = 20.0
    ) -> StatusMessage:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            for status in self.heard.get(request_id, []):
                if is_it(status):
                    return status
            self.hear(0.1)
        raise AssertionError(f"not heard in time; what was: {self.heard.get(request_id)}")

    def ends(self, request_id: str, quiet_s: float = 0.5) -> list[StatusMessage]:
        """Return all ends that were heard of a request, after a while of listening."""
        deadline = time.monotonic() + quiet_s
        while time.monotonic() < deadline:
            self.hear(0.05)
        return [status for status in self.heard.get(request_id, []) if status.action.is_final]


@pytest.fixture
def ring_of(runtime: Path, shm_dir: Path) -> Iterator[Callable[[DetectorConfig], RingPublisher]]:
    rings: list[RingPublisher] = []

    def make(config: DetectorConfig, n_slots: int = 64) -> RingPublisher:
        rings.append(RingPublisher(image_buffer_path(config), shape=(4, 8), n_slots=n_slots))
        return rings[-1]

    yield make
    for ring in rings:
        ring.close()


MakeRing = Callable[..., RingPublisher]


def publish(ring: RingPublisher, ids: Iterable[int], pause_s: float = 0.0) -> None:
    for image_id in ids:
        ring.publish(image_id)
        time.sleep(pause_s)


def test_run_goes_from_request_to_success(
    broker_url: str, tag: str, shm_dir: Path, ring_of: MakeRing, tmp_path: Path
) -> None:
    config = make_config(shm_dir, tag)
    ring = ring_of(config)
    publish(ring, range(5))
    writer = FakeStoreWriter()
    with Client(broker_url, tag) as client, StoreWriterThread(config, writer), AgentThread(config, broker_url):
        request_id = client.write(tmp_path / "run.h5", n_images=10)
        client.wait_until(request_id, lambda status: "waiting for the first image" in status.message)
        publish(ring, range(5, 20))
        end = client.wait_for_end(request_id)
        assert len(client.ends(request_id)) == 1
        actions = [status.action for status in client.heard[request_id]]
    assert actions == [Action.ACCEPTED, Action.PROGRESS, Action.START, Action.SUCCESS]
    assert end.report is not None
    assert end.report.verdict is Verdict.COMPLETE
    assert end.report.files == (str(tmp_path / "run.h5"),)
    assert [ids for run in writer.written.values() for ids in run.values()] == [list(range(5, 15))]
    assert not (tmp_path / "run.h5").exists()


def test_run_in_several_files_by_two_writers(
    broker_url: str, tag: str, shm_dir: Path, ring_of: MakeRing, tmp_path: Path
) -> None:
    config = make_config(shm_dir, tag, number_of_writers=2)
    ring = ring_of(config)
    first, second = FakeStoreWriter(0), FakeStoreWriter(1)
    with (
        Client(broker_url, tag) as client,
        StoreWriterThread(config, first),
        StoreWriterThread(config, second),
        AgentThread(config, broker_url),
    ):
        request_id = client.write(tmp_path / "run.h5", n_images=10, n_files=4)
        client.wait_until(request_id, lambda status: "waiting" in status.message)
        publish(ring, [*range(4), *range(6, 20)])
        end = client.wait_for_end(request_id)
    assert end.report is not None
    assert end.report.verdict is Verdict.INCOMPLETE
    assert end.report.lost_image_ids == (4, 5)
    assert [end.report.n_written, len(end.report.files)] == [8, 4]
    assert end.report.files[0] == str(tmp_path / "run.h5")


def test_run_begins_at_an_image_in_the_past(
    broker_url: str, tag: str, shm_dir: Path, ring_of: MakeRing, tmp_path: Path
) -> None:
    config = make_config(shm_dir, tag)
    ring = ring_of(config, n_slots=16)
    publish(ring, range(100, 140))
    writer = FakeStoreWriter()
    with Client(broker_url, tag) as client, StoreWriterThread(config, writer), AgentThread(config, broker_url):
        gone = client.write(tmp_path / "gone.h5", n_images=5, start_image_id=110)
        assert "image 110 is no longer in the ring; the oldest image there is 124" in client.wait_for_end(gone).message
        past = client.write(tmp_path / "past.h5", n_images=5, start_image_id=130)
        assert client.wait_for_end(past).action is Action.SUCCESS
        future = client.write(tmp_path / "future.h5", n_images=3, start_image_id=142)
        client.wait_until(future, lambda status: "waiting for image 142" in status.message)
        publish(ring, range(140, 150))
        assert client.wait_for_end(future).action is Action.SUCCESS
    assert [ids for run in writer.written.values() for ids in run.values()] == [list(range(130, 135)), [142, 143, 144]]


def test_request_may_come_before_the_ring_and_gets_its_first_image(
    broker_url: str, tag: str, shm_dir: Path, ring_of: MakeRing, tmp_path: Path
) -> None:
    config = make_config(shm_dir, tag)
    writer = FakeStoreWriter()
    with Client(broker_url, tag) as client, StoreWriterThread(config, writer), AgentThread(config, broker_url):
        request_id = client.write(tmp_path / "run.h5", n_images=3)
        client.wait_until(request_id, lambda status: "no ImageBuffer yet" in status.message)
        publish(ring_of(config), range(3))
        assert client.wait_for_end(request_id).action is Action.SUCCESS


def test_queued_run_goes_on_where_the_one_before_it_ended(
    broker_url: str, tag: str, shm_dir: Path, ring_of: MakeRing, tmp_path: Path
) -> None:
    config = make_config(shm_dir, tag, max_queued_requests=2)
    ring = ring_of(config)
    writer = FakeStoreWriter()
    with Client(broker_url, tag) as client, StoreWriterThread(config, writer), AgentThread(config, broker_url):
        first = client.write(tmp_path / "1.h5", n_images=5)
        second = client.write(tmp_path / "2.h5", n_images=5)
        third = client.write(tmp_path / "3.h5", n_images=5)
        fourth = client.write(tmp_path / "4.h5", n_images=5)
        assert "the writer is busy" in client.wait_for_end(fourth).message
        client.kill(third)
        assert client.wait_for_end(third).action is Action.KILLED
        publish(ring, range(20))
        assert client.wait_for_end(first).action is Action.SUCCESS
        assert client.wait_for_end(second).action is Action.SUCCESS
    assert [ids for run in writer.written.values() for ids in run.values()] == [list(range(5)), list(range(5, 10))]


def test_kill_drains(broker_url: str, tag: str, shm_dir: Path, ring_of: MakeRing, tmp_path: Path) -> None:
    config = make_config(shm_dir, tag)
    ring = ring_of(config)
    with (
        Client(broker_url, tag) as client,
        StoreWriterThread(config, FakeStoreWriter()),
        AgentThread(config, broker_url),
    ):
        request_id = client.write(tmp_path / "run.h5")
        client.wait_until(request_id, lambda status: "waiting" in status.message)
        publish(ring, range(7))
        client.wait_for(request_id, Action.START)
        client.kill(request_id)
        end = client.wait_for_end(request_id)
    assert end.action is Action.KILLED
    assert end.report is not None
    assert end.report.n_written == 7


def test_paused_writer_goes_on_and_a_dead_one_ends_the_run(
    broker_url: str, tag: str, shm_dir: Path, ring_of: MakeRing, tmp_path: Path
) -> None:
    config = make_config(shm_dir, tag)
    ring = ring_of(config)
    with (
        Client(broker_url, tag) as client,
        StoreWriterThread(config, FakeStoreWriter(overwritten={4, 5})) as writer,
        AgentThread(config, broker_url),
    ):
        paused = client.write(tmp_path / "paused.h5", n_images=10)
        client.wait_until(paused, lambda status: "waiting" in status.message)
        writer.is_paused.set()
        publish(ring, range(10))
        client.wait_for(paused, Action.PROGRESS)
        writer.is_paused.clear()
        end = client.wait_for_end(paused)
        assert end.report is not None
        assert (end.report.verdict, end.report.lost_image_ids) == (Verdict.INCOMPLETE, (4, 5))
        dead = client.write(tmp_path / "dead.h5", n_images=10, image_timeout_s=60)
        client.wait_until(dead, lambda status: "waiting" in status.message)
        writer.is_paused.set()
        publish(ring, range(10, 12))
        end = client.wait_for_end(dead)
        assert end.report is not None
        assert (end.report.verdict, end.report.lost_image_ids) == (Verdict.FAILED, (10, 11))
        assert "h5_writer 0 reported nothing for 3 s" in end.report.reason
        assert "std-daq recover" in end.report.reason


def test_killed_writer_that_comes_back_ends_the_run_and_takes_the_next(
    broker_url: str, tag: str, shm_dir: Path, ring_of: MakeRing, tmp_path: Path
) -> None:
    config = make_config(shm_dir, tag)
    ring = ring_of(config)
    with Client(broker_url, tag) as client, AgentThread(config, broker_url):
        with StoreWriterThread(config, FakeStoreWriter()):
            request_id = client.write(tmp_path / "run.h5", n_images=10)
            client.wait_until(request_id, lambda status: "waiting" in status.message)
            publish(ring, range(3))
            client.wait_until(request_id, lambda status: status.details.get("n_written") == 3)
        with StoreWriterThread(config, FakeStoreWriter()):
            end = client.wait_for_end(request_id)
            assert end.report is not None
            assert (end.report.verdict, end.report.n_written) == (Verdict.FAILED, 3)
            assert "h5_writer 0 was restarted during the run" in end.report.reason
            again = client.write(tmp_path / "again.h5", n_images=2)
            client.wait_until(again, lambda status: "waiting" in status.message)
            publish(ring, range(3, 9))
            assert client.wait_for_end(again).action is Action.SUCCESS


def test_bad_requests_are_refused_and_kept_as_dead_letters(
    broker_url: str, tag: str, shm_dir: Path, ring_of: MakeRing, tmp_path: Path
) -> None:
    config = make_config(shm_dir, tag, output_roots=[str(tmp_path)])
    (tmp_path / "there.h5").touch()
    bodies = [b"", b"null", b"[1, 2]", b"\xff\xfe", b'{"output_file": 3}', b'{"output_file": "/x", "nimages": 1}']
    with Client(broker_url, tag) as client, AgentThread(config, broker_url):
        for body in bodies:
            request_id = new_request_id()
            client.send(body, request_id)
            end = client.wait_for_end(request_id)
            assert (end.action, end.body) == (Action.FAIL, body)
            assert end.report is not None
            assert end.report.verdict is Verdict.REFUSED
        client.send(b'{"output_file": "/x"}', "no uuid")
        assert "is not a UUID" in client.wait_for_end("no uuid").message
        for path, reason in [
            ("relative.h5", "must be an absolute path"),
            (f"{tmp_path}/../x.h5", "must not contain '..'"),
            ("/elsewhere/x.h5", "outside the allowed folders"),
            (tmp_path / "there.h5", "exists"),
        ]:
            assert reason in client.wait_for_end(client.write(path, n_images=1)).message
        dead = [_take_dead_letter(broker_url, tag) for _ in range(len(bodies) + 1)]
    assert sorted(dead) == sorted([*bodies, b'{"output_file": "/x"}'])


def _take_dead_letter(url: str, tag: str) -> bytes:
    import pika

    connection = pika.BlockingConnection(pika.URLParameters(url))
    try:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            _, _, body = connection.channel().basic_get(refused_queue(tag), auto_ack=True)
            if body is not None:
                return bytes(body)
            time.sleep(0.05)
        raise AssertionError("no dead letter")
    finally:
        connection.close()


def test_repeated_request_is_not_run_again_but_answered(
    broker_url: str, tag: str, shm_dir: Path, ring_of: MakeRing, tmp_path: Path
) -> None:
    config = make_config(shm_dir, tag)
    ring = ring_of(config)
    publish(ring, range(10))
    writer = FakeStoreWriter()
    with Client(broker_url, tag) as client, StoreWriterThread(config, writer), AgentThread(config, broker_url):
        request_id = client.write(tmp_path / "run.h5", n_images=3, start_image_id=0)
        client.wait_for_end(request_id)
        client.heard.clear()
        client.write(tmp_path / "run.h5", n_images=3, start_image_id=0, request_id=request_id)
        assert client.wait_for_end(request_id).action is Action.SUCCESS
        assert len(client.heard[request_id]) == 1
    assert len(writer.runs) == 1


def test_kill_that_is_faster_than_its_request_is_not_forgotten(
    broker_url: str, tag: str, shm_dir: Path, ring_of: MakeRing, tmp_path: Path
) -> None:
    config = make_config(shm_dir, tag)
    with Client(broker_url, tag) as client, AgentThread(config, broker_url):
        request_id, witness = new_request_id(), new_request_id()
        client.kill(request_id)
        client.send(b"", witness)
        client.wait_for_end(witness)
        client.write(tmp_path / "run.h5", request_id=request_id)
        assert client.wait_for_end(request_id).action is Action.KILLED


def test_stopped_agent_ends_its_run_and_keeps_what_waits(
    broker_url: str, tag: str, shm_dir: Path, ring_of: MakeRing, tmp_path: Path
) -> None:
    config = make_config(shm_dir, tag, max_queued_requests=1)
    ring = ring_of(config)
    with Client(broker_url, tag) as client, StoreWriterThread(config, FakeStoreWriter()):
        with AgentThread(config, broker_url):
            first = client.write(tmp_path / "1.h5", n_images=5)
            second = client.write(tmp_path / "2.h5", n_images=5)
            client.wait_for(second, Action.ACCEPTED)
            publish(ring, range(2))
            client.wait_for(first, Action.START)
        end = client.wait_for_end(first)
        assert end.report is not None
        assert (end.report.verdict, end.report.n_written) == (Verdict.FAILED, 2)
        assert "the writer agent was stopped" in end.report.reason
        assert client.ends(second) == []
        with AgentThread(config, broker_url):
            client.wait_until(second, lambda status: "waiting" in status.message)
            publish(ring, range(2, 7))
            assert client.wait_for_end(second).action is Action.SUCCESS


def test_run_that_waits_for_its_first_image_outlives_a_stop(
    broker_url: str, tag: str, shm_dir: Path, ring_of: MakeRing, tmp_path: Path
) -> None:
    config = make_config(shm_dir, tag)
    ring = ring_of(config)
    with Client(broker_url, tag) as client, StoreWriterThread(config, FakeStoreWriter()):
        with AgentThread(config, broker_url):
            request_id = client.write(tmp_path / "run.h5", n_images=3)
            client.wait_until(request_id, lambda status: "waiting" in status.message)
        client.heard.clear()
        with AgentThread(config, broker_url):
            client.wait_until(request_id, lambda status: "waiting" in status.message)
            publish(ring, range(3))
            assert client.wait_for_end(request_id).action is Action.SUCCESS


@pytest.mark.long
def test_broker_that_is_away_in_a_run_disturbs_nothing(
    tag: str, shm_dir: Path, ring_of: MakeRing, tmp_path: Path
) -> None:
    config = make_config(shm_dir, tag)
    ring = ring_of(config)
    writer = FakeStoreWriter()
    with (
        ThrowawayBroker() as broker,
        StoreWriterThread(config, writer),
        AgentThread(config, broker.url) as agent,
        Client(broker.url, tag) as client,
    ):
        request_id = client.write(tmp_path / "run.h5", n_images=20)
        client.wait_until(request_id, lambda status: "waiting" in status.message)
        publish(ring, range(5))
        client.wait_for(request_id, Action.START)
        broker.halt()
        publish(ring, range(5, 12), pause_s=0.05)
        assert agent.agent is not None
        assert agent.agent.is_ready, "an orchestrator has no reason to end it"
        publish(ring, range(12, 20), pause_s=0.05)
        _wait_until(lambda: any(report.n_written == 20 for report in writer.reports))
        broker.start()
        end = client.wait_for_end(request_id, timeout_s=40)
        assert end.action is Action.SUCCESS
        assert client.ends(request_id) == [end]


@pytest.mark.long
def test_agent_that_starts_before_its_broker_is_ready_with_it(
    tag: str, shm_dir: Path, ring_of: MakeRing, tmp_path: Path
) -> None:
    config = make_config(shm_dir, tag)
    publish(ring_of(config), range(5))
    broker = ThrowawayBroker()
    try:
        with (
            AgentThread(config, broker.url, has_broker=False) as agent,
            StoreWriterThread(config, FakeStoreWriter()),
        ):
            assert agent.agent is not None
            assert "no connection to the broker" in (agent.agent.why_not_ready or "")
            assert not agent.agent.is_ready
            broker.start()
            assert agent.is_ready.wait(20)
            with Client(broker.url, tag) as client:
                request_id = client.write(tmp_path / "run.h5", n_images=3, start_image_id=0)
                assert client.wait_for_end(request_id).action is Action.SUCCESS
    finally:
        broker.close()


def _wait_until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class AgentProcess:
    """The agent as a process that can be killed and started again."""

    def __init__(self, config: DetectorConfig, url: str, folder: Path) -> None:
        self._url = url
        self._config_path = folder / "detector.json"
        self._config_path.write_text(config.model_dump_json(exclude_defaults=True))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "std_writer_agent", "--config", str(self._config_path)],
            env={**os.environ, "STD_DAQ_BROKER_URL": self._url},
        )

    def kill(self, number: int = signal.SIGKILL) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(20)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


def test_agent_killed_in_a_run_closes_it_and_one_killed_before_the_first_image_goes_on(
    broker_url: str, tag: str, shm_dir: Path, ring_of: MakeRing, tmp_path: Path
) -> None:
    config = make_config(shm_dir, tag)
    ring = ring_of(config)
    writer = FakeStoreWriter()
    with AgentThread(config, broker_url):
        pass  # the queue is declared now
    with (
        Client(broker_url, tag) as client,
        StoreWriterThread(config, writer),
        AgentProcess(config, broker_url, tmp_path) as agent,
    ):
        request_id = client.write(tmp_path / "run.h5", n_images=10)
        client.wait_until(request_id, lambda status: "waiting" in status.message)
        agent.kill()
        client.heard.clear()
        agent.start()
        client.wait_until(request_id, lambda status: "waiting" in status.message)
        publish(ring, range(4))
        client.wait_until(request_id, lambda status: status.details.get("n_written") == 4)
        agent.kill()
        agent.start()
        end = client.wait_for_end(request_id)
        assert end.report is not None
        assert (end.report.verdict, end.report.n_written) == (Verdict.FAILED, 4)
        assert "writer agent was restarted during the run" in end.report.reason
        assert len(client.ends(request_id)) == 1
        assert writer.reports[-1].verdict is Verdict.FAILED
        assert agent.kill(signal.SIGTERM) == 0


def test_requests_through_random_kills_end_once_and_are_never_written_twice(
    broker_url: str, tag: str, shm_dir: Path, ring_of: MakeRing, tmp_path: Path
) -> None:
    config = make_config(shm_dir, tag, max_queued_requests=100)
    ring = ring_of(config)
    publish(ring, range(60))
    writer = FakeStoreWriter()
    with AgentThread(config, broker_url):
        pass  # the queue is declared now
    with (
        Client(broker_url, tag) as client,
        StoreWriterThread(config, writer),
        AgentProcess(config, broker_url, tmp_path) as agent,
    ):
        ids = [client.write(tmp_path / f"{index}.h5", n_images=20, start_image_id=5) for index in range(30)]
        chance = random.Random(1)
        for _ in range(4):
            n_heard = sum(map(len, client.heard.values())) + chance.randrange(1, 25)
            _wait_until(lambda n=n_heard: client.hear(0.001) or sum(map(len, client.heard.values())) >= n)
            agent.kill()
            agent.start()
        for request_id in ids:
            end = client.wait_for_end(request_id, timeout_s=60)
            assert end.report is not None
            assert end.report.verdict in {Verdict.COMPLETE, Verdict.FAILED}
        # An end whose confirmation died with the agent is told once more, but it is the same.
        assert all(len({status.message for status in client.ends(request_id, 0)}) == 1 for request_id in ids)
    written = [start.request_id for start in writer.runs.values()]
    assert len(written) == len(set(written))
