"""Whatever a request, a kill or a status holds, it is answered once, and the next request is served."""

import contextlib
import json
import uuid
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pika
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from std_daq.amqp.connection import BrokerConnection
from std_daq.amqp.messages import Message
from std_daq.amqp.topology import KILL, REQUEST, STATUS, WriterQueues
from std_daq.errors import MessageRefusedError
from std_daq.rabbitmq.throwaway import ThrowawayBroker
from std_daq.recording.requests import Action, Verdict
from std_daq.recording.status_channel import StatusListener
from std_test_kit.agent import AgentThread, Client, MakeRing, make_config, publish
from std_test_kit.exchanges import declare_exchanges
from std_test_kit.store_writer import FakeStoreWriter, StoreWriterThread

LIMIT_S = 20.0

pytestmark = pytest.mark.timeout(180)


class Stranger:
    """A client of another make, which sends what it likes."""

    def __init__(self, url: str, tag: str) -> None:
        self._connection = pika.BlockingConnection(pika.URLParameters(url))
        self._channel = self._connection.channel()
        self._channel.confirm_delivery()
        self._tag = tag

    def send(self, exchange: str, body: bytes, **properties: Any) -> None:
        self._channel.basic_publish(exchange, self._tag, body, pika.BasicProperties(**properties))

    def close(self) -> None:
        self._connection.close()


class Scene:
    """An agent with a broker, a client and a stranger."""

    def __init__(self, client: Client, stranger: Stranger, folder: Path, ring: Any) -> None:
        self.client = client
        self.stranger = stranger
        self.folder = folder
        self._ring = ring
        self._n_good = 0
        self.repeated: set[str] = set()

    def end_of(self, correlation_id: str) -> Any:
        """Return the only end of a request; a request that was accepted is killed for that."""
        status = self.client.wait_until(
            correlation_id, lambda status: status.action.is_final or status.action is Action.ACCEPTED, LIMIT_S
        )
        if status.action is Action.ACCEPTED:
            self.client.kill(correlation_id)
        return self.client.wait_for_end(correlation_id, LIMIT_S)

    def assert_next_is_served(self) -> None:
        self._n_good += 1
        request_id = self.client.write(self.folder / f"good_{self._n_good}.h5", n_images=2)
        self.client.wait_until(request_id, lambda status: "waiting" in status.message)
        publish(self._ring, range(self._n_good * 10, self._n_good * 10 + 2))
        assert self.client.wait_for_end(request_id).action is Action.SUCCESS

    def assert_answered_once(self) -> None:
        self.client.ends("", quiet_s=0.5)
        for request_id, heard in self.client.heard.items():
            ends = [status for status in heard if status.action.is_final]
            if request_id in self.repeated:  # asked again after its end, it hears the same again
                ends = ends[:1] if all(end.message == ends[0].message for end in ends) else ends
            assert len(ends) == 1, (request_id, heard)


@pytest.fixture
def scene(broker_url: str, tag: str, shm_dir: Path, ring_of: MakeRing, tmp_path: Path) -> Iterator[Scene]:
    config = make_config(shm_dir, tag, output_roots=[str(tmp_path)])
    ring = ring_of(config)
    with (
        contextlib.closing(Stranger(broker_url, tag)) as stranger,
        Client(broker_url, tag) as client,
        StoreWriterThread(config, FakeStoreWriter()),
        AgentThread(config, broker_url),
    ):
        scene = Scene(client, stranger, tmp_path, ring)
        yield scene
        scene.assert_next_is_served()
        scene.assert_answered_once()


NUMBERS = st.sampled_from(
    ["0", "-1", "1", "3", "1.5", "1e400", "-1e400", "NaN", "Infinity", str(2**63), str(2**64), str(2**70), "9" * 4000]
)
TEXTS = st.one_of(
    st.text(max_size=20).map(json.dumps),
    st.sampled_from(
        ['"\\u0000"', '"\\ud800"', '"' + "x" * 300 + '"', '"' + "/x" * 3000 + '"', '"/' + "n" * 4095 + '"']
    ),
)
ANY = st.one_of(NUMBERS, TEXTS, st.sampled_from(["null", "true", "[]", "{}", "[[1]]", '{"a": {"b": 1}}', "[" * 300]))
KEYS = st.sampled_from(
    [
        *("output_file", "n_images", "start_image_id", "compression", "images_per_file", "n_files", "conflict"),
        *("first_image_timeout_s", "image_timeout_s", "user_metadata", "unknown", "", "output_file "),
    ]
)
PATHS = st.sampled_from(
    ["run.h5", "a/b/run.h5", "..", ".", "", "x" * 250, "é" * 130, "a/" * 2000, "%d.h5", "\n", "a\\b"]
)
HEADERS = st.dictionaries(
    st.text(max_size=10).filter(lambda key: len(key.encode()) < 50),
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**62), 2**62),
        st.text(max_size=20),
        st.decimals(-1000, 1000, places=2).map(lambda number: Decimal(number)),
        st.datetimes().map(lambda time: time.replace(year=max(time.year, 1970))),
        st.recursive(st.integers(0, 9), lambda inner: st.lists(inner, max_size=3), max_leaves=8),
        st.dictionaries(st.sampled_from("ab"), st.dictionaries(st.sampled_from("cd"), st.booleans())),
    ),
    max_size=3,
)


@st.composite
def bodies(draw: st.DrawFn, folder: str) -> bytes:
    """Bodies of requests: bytes, damaged JSON, and objects with known keys and any values."""
    kind = draw(st.sampled_from(["bytes", "fields", "path", "nested"]))
    if kind == "bytes":
        return draw(st.binary(max_size=50))
    if kind == "nested":
        return draw(st.sampled_from([b"[", b'{"a":', b'[{"a":'])) * draw(st.sampled_from([10, 1000, 100_000]))
    path = json.dumps(f"{folder}/{draw(PATHS)}")
    fields = draw(st.dictionaries(KEYS, ANY, max_size=3)) if kind == "fields" else {}
    text = ", ".join(f"{json.dumps(key)}: {value}" for key, value in ({"output_file": path} | fields).items())
    return f"{{{text}}}".encode(errors="surrogatepass")


@pytest.mark.long
def test_any_request_is_answered_once_and_the_next_is_served(scene: Scene) -> None:
    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(body=bodies(str(scene.folder)), headers=HEADERS, priority=st.sampled_from([None, 0, 255]))
    def check(body: bytes, headers: dict[str, Any], priority: int | None) -> None:
        request_id = str(uuid.uuid4())
        scene.stranger.send(
            REQUEST, body, correlation_id=request_id, headers=headers, priority=priority, reply_to="nobody\n"
        )
        scene.end_of(request_id)

    check()


@pytest.mark.parametrize("correlation_id", ["", "no uuid", "r" * 255, "é" * 127, "\0", "../../etc"])
def test_request_without_a_usable_id_is_answered_under_what_it_has(scene: Scene, correlation_id: str) -> None:
    scene.stranger.send(REQUEST, b'{"output_file": "/x"}', correlation_id=correlation_id)
    assert "is not a UUID" in scene.end_of(correlation_id).message


def test_request_whose_id_is_no_text_is_answered_under_the_same_bytes(scene: Scene) -> None:
    raw = b"\xff\xfe" * 127
    scene.stranger.send(REQUEST, b'{"output_file": "/x"}', correlation_id=raw)
    assert "is not a UUID" in scene.end_of(raw.decode(errors="surrogateescape")).message


def test_request_without_any_id_and_garbage_to_kill_disturb_nobody(scene: Scene) -> None:
    scene.stranger.send(REQUEST, b'{"output_file": "/x"}')
    for correlation_id in ("", "no uuid", "r" * 255, b"\xff" * 255):
        scene.stranger.send(KILL, b"x" * 100_000, correlation_id=correlation_id, headers={"a": [[1]]})
    assert "is not a UUID" in scene.end_of("").message


def test_bodies_of_many_megabytes_are_refused(scene: Scene) -> None:
    ids = [str(uuid.uuid4()) for _ in range(3)]
    for request_id in ids:
        scene.stranger.send(REQUEST, b" " * (16 << 20), correlation_id=request_id)
    for request_id in ids:
        assert "it has 16777216 bytes; at most 1048576 are allowed" in scene.end_of(request_id).message


def test_same_request_many_times_at_once_is_one_request(scene: Scene) -> None:
    request_id = str(uuid.uuid4())
    body = json.dumps({"output_file": str(scene.folder / "one.h5"), "n_images": 2}).encode()
    scene.repeated.add(request_id)
    for _ in range(30):
        scene.stranger.send(REQUEST, body, correlation_id=request_id)
    scene.end_of(request_id)
    accepted = [status for status in scene.client.heard[request_id] if status.action is Action.ACCEPTED]
    assert len(accepted) == 1


def log_of(broker: ThrowawayBroker) -> str:
    """Stop a broker, and return its log, which it writes with a delay while it runs."""
    broker.stop()
    return (broker.folder / "log" / "rabbit.log").read_text()


@pytest.mark.long
def test_end_that_the_broker_finds_too_long_is_shortened_and_disturbs_once(
    tag: str, shm_dir: Path, ring_of: MakeRing, tmp_path: Path
) -> None:
    """A broker that takes messages of 10 kB with headers of 4 kB; what a request holds comes back in each status."""
    config = make_config(shm_dir, tag)
    ring = ring_of(config)
    with ThrowawayBroker(more="frame_max = 4096\n") as broker:
        declare_exchanges(broker.url)
        with (
            Client(broker.url, tag) as client,
            StoreWriterThread(config, FakeStoreWriter(overwritten=set(range(1, 3000, 2)))),
            AgentThread(config, broker.url),
        ):
            folder = tmp_path / ("f" * 100)
            request_id = client.write(folder / "run.h5", n_images=1500, images_per_file=5)
            client.wait_until(request_id, lambda status: "waiting" in status.message)
            publish(ring, range(1500), pause_s=0.001)
            end = client.wait_for_end(request_id, 60.0)
            assert end.report is not None
            assert end.report.verdict is Verdict.INCOMPLETE
            assert end.report.n_written + end.report.n_lost == 1500
            assert end.report.files_truncated + len(end.report.files) == 301
            assert client.ends(request_id) == [end]
        log = log_of(broker)
        assert "frame_too_large" not in log
        assert "[error]" not in log


@pytest.mark.long
def test_message_that_the_broker_refuses_is_sent_once_and_the_connection_stays(tag: str) -> None:
    with ThrowawayBroker(more="max_message_size = 10000\nframe_max = 8192\n") as broker:
        declare_exchanges(broker.url)
        with (
            BrokerConnection(broker.url, WriterQueues(tag), name="agent", publishes=True) as agent,
            StatusListener(broker.url) as all_,
        ):
            agent.wait_connected(LIMIT_S)
            all_.connection.wait_connected(LIMIT_S)
            messages = [
                Message(exchange=STATUS, correlation_id="long body", body=b"x" * 10_001),
                Message(exchange=STATUS, correlation_id="long headers", headers={"action": "x" * 9000}),
                Message(exchange=STATUS, correlation_id="good", headers={"action": "request_start"}),
            ]
            confirmations = [agent.publish(message) for message in messages]
            with pytest.raises(MessageRefusedError, match="larger than configured max size"):
                confirmations[0].result(LIMIT_S)
            with pytest.raises(MessageRefusedError, match=r"frame_max \(8192\) leaves room for 8172"):
                confirmations[1].result(LIMIT_S)
            confirmations[2].result(LIMIT_S)
            heard = all_.receive(LIMIT_S)
            assert heard is not None
            assert heard.request_id == "good"
        log = log_of(broker)
        assert log.count("larger than configured max size") == 1
        assert log.count("client-provided name: agent publisher") == 1
