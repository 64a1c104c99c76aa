"""Write requests while the broker and the agent are killed and restarted: each is carried out once, and ends once.

Broker, agent, client and listener have the users and rights of ``std-daq broker-setup``. What happened is judged from
three sides that know nothing of each other: the statuses that the listener heard, the agent's journal, and the files on
disk. ``--requests`` says how many requests, ``--seed`` which kills.
"""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import h5py
import hdf5plugin  # noqa: F401  (registers the filter)
import pytest

from std_daq.amqp.connection import BrokerConnection
from std_daq.amqp.topology import ListenerQueue, NothingOwned
from std_daq.client.scrape import scrape
from std_daq.config.paths import make_runtime_dir
from std_daq.errors import BrokerError
from std_daq.imaging.config.load import load_config
from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.config.paths import image_buffer_path
from std_daq.imaging.files import layout
from std_daq.rabbitmq.node import RabbitNode
from std_daq.recording.request_channel import RequestPublisher
from std_daq.recording.requests import Action, StatusMessage, Verdict, WriteRequest, new_request_id
from std_daq.service.record import read_records
from std_test_kit.set_up_broker import set_up_broker
from std_test_kit.store_driver import N_MODULES, RingPublisher
from std_test_kit.wait import wait_until

SHAPE = (512, 514)
START_IMAGE_ID = 5
KILLED_SHARE = 0.05
MIN_STRIKES = 4
REQUESTS_A_STRIKE = 25
LIMIT_S = 20.0
# A listener that is to end has heard all when nothing came for this time: also what nobody should have sent.
QUIET_S = 0.5


class ServiceProcess:
    """A service that can be killed and started again."""

    def __init__(self, module: str, config_file: Path, url_file: Path) -> None:
        self._command = [sys.executable, "-m", module, "--config", str(config_file), "--log-level", "warning"]
        self._environment = os.environ | {"STD_DAQ_BROKER_URL_FILE": str(url_file)}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, env=self._environment, stderr=subprocess.DEVNULL)

    def wait_ready(self, config: DetectorConfig) -> None:
        """Wait until the process listens to signals, and has the broker."""

        def is_ready() -> bool:
            process = self._process
            own = (record for record in read_records(config) if process is not None and record.pid == process.pid)
            return any(scrape(record.socket).is_ready for record in own)

        wait_until(is_ready, LIMIT_S, lambda: f"{self._command} is not ready")

    def end(self, number: int) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(LIMIT_S)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end(signal.SIGKILL)


class Client(threading.Thread):
    """Sends requests, and each again under the same id until the broker has confirmed it; kills some of them."""

    def __init__(self, url: str, tag: str, folder: Path, n_requests: int, chance: random.Random) -> None:
        super().__init__(name="client")
        self._url, self._tag, self._folder = url, tag, folder
        self._n_requests = n_requests
        self._chance = chance
        self.confirmed: dict[str, Path] = {}
        self.to_be_killed: set[str] = set()
        self.n_sent_again = 0
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            with BrokerConnection(self._url, NothingOwned(), name="client") as connection:
                publisher = RequestPublisher(connection, self._tag)
                for index in range(self._n_requests):
                    self._request(publisher, self._folder / f"{index:04d}.h5")
                    time.sleep(self._chance.choice((0, 0, 0, 0.2)))
        except BaseException as error:  # noqa: BLE001 - told to the test
            self.error = error

    def _request(self, publisher: RequestPublisher, path: Path) -> None:
        request_id = new_request_id()
        # Were it carried out twice, there would be a second file with a number added to its name.
        request = WriteRequest(
            output_file=str(path),
            n_images=1,
            start_image_id=START_IMAGE_ID,
            compression="bslz4",
            conflict="rename",
        )
        while request_id not in self.confirmed:
            try:
                publisher.publish(request, request_id=request_id, timeout_s=self._chance.uniform(0.05, 5.0))
            except BrokerError:
                self.n_sent_again += 1
            else:
                self.confirmed[request_id] = path
        if self._chance.random() < KILLED_SHARE:
            self.to_be_killed.add(request_id)
            with suppress(BrokerError):
                publisher.kill(request_id)


class EndListener(threading.Thread):
    """Hears every status, and keeps the ends as they were on the wire."""

    def __init__(self, url: str) -> None:
        super().__init__(name="listener")
        topology = ListenerQueue()
        self.queue = topology.queue
        self.connection = BrokerConnection(url, topology, name="listener")
        self.ends: dict[str, list[tuple[str | None, dict[str, object], bytes]]] = {}
        self._stop_event = threading.Event()

    def run(self) -> None:
        while True:
            delivery = self.connection.receive(QUIET_S)
            if delivery is None:
                if self._stop_event.is_set():
                    return
                continue
            if Action(str(delivery.headers["action"])).is_final:
                told = (delivery.message_id, dict(delivery.headers), delivery.body)
                self.ends.setdefault(str(delivery.correlation_id), []).append(told)
            self.connection.acknowledge(delivery)

    def __enter__(self) -> Self:
        self.connection.start()
        self.connection.wait_connected(LIMIT_S)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop_event.set()
        self.join()
        self.connection.close()


class Chaos:
    """Kills and restarts, in an order that follows from the seed."""

    def __init__(self, chance: random.Random, agent: ServiceProcess, broker: RabbitNode) -> None:
        self._chance = chance
        self._agent = agent
        self._broker = broker
        self.struck: Counter[str] = Counter()

    def strike(self) -> None:
        strikes = {
            self.kill_agent: 8,
            self.stop_agent: 2,
            self.kill_broker: 3,
            self.stop_broker: 1,
            self.kill_both: 2,
        }
        (strike,) = self._chance.choices(list(strikes), list(strikes.values()))
        strike()
        self.struck[strike.__name__] += 1

    def pause(self, longest_s: float) -> None:
        time.sleep(self._chance.uniform(0, longest_s))

    def kill_agent(self) -> None:
        self._agent.end(signal.SIGKILL)
        self._agent.start()

    def stop_agent(self) -> None:
        assert self._agent.end(signal.SIGTERM) in {0, -signal.SIGTERM}  # the latter before it has listened
        self._agent.start()

    def kill_broker(self) -> None:
        self._broker.halt()
        self.pause(2.0)
        self._broker.start()

    def stop_broker(self) -> None:
        self._broker.stop()
        self._broker.start()

    def kill_both(self) -> None:
        self._broker.halt()
        self.pause(0.5)
        self._agent.end(signal.SIGKILL)
        self._agent.start()
        self.pause(2.0)
        self._broker.start()


@pytest.fixture
def config_file(tmp_path: Path, runtime: Path, shm_dir: Path, tag: str) -> Path:
    document: dict[str, Any] = {
        "detector_name": tag,
        "detector_type": "eiger",
        "n_modules": N_MODULES,
        "bit_depth": 16,
        "image_pixel_height": SHAPE[0],
        "image_pixel_width": SHAPE[1],
        "start_udp_port": 50000,
        "module_positions": {"0": [0, 0, 513, 255], "1": [0, 256, 513, 511]},
        "shared_memory": {"directory": str(shm_dir)},
        "writer": {"max_queued_requests": 10_000, "min_free_gb": 0},
    }
    path = tmp_path / "detector.json"
    path.write_text(json.dumps(document))
    return path


@contextmanager
def published_images(config: DetectorConfig) -> Iterator[None]:
    make_runtime_dir(config)
    ring = RingPublisher(image_buffer_path(config), shape=SHAPE, n_slots=32)
    try:
        for image_id in range(20):
            ring.publish(image_id)
        yield
    finally:
        ring.close()


def wait_until_written(folder: Path, name: str) -> None:
    """Wait until the node has a queue's name on disk: RabbitMQ keeps such news to itself for up to two seconds."""

    def is_written() -> bool:
        files = (path for path in folder.rglob("*") if path.suffix in {".LOG", ".DCD", ".DCL"})
        return any(name.encode() in path.read_bytes() for path in files)

    wait_until(is_written, LIMIT_S, lambda: f"{name} is not on disk")


@pytest.mark.long
@pytest.mark.timeout(2400)
def test_each_request_is_carried_out_once_and_ends_once_through_kills_of_broker_and_agent(
    config_file: Path, tmp_path: Path, tag: str, pytestconfig: pytest.Config
) -> None:
    n_requests, seed = pytestconfig.getoption("requests"), pytestconfig.getoption("seed")
    sys.stdout.write(f"{n_requests} requests, seed {seed}\n")
    chance = random.Random(seed)
    config = load_config(config_file)
    folder = tmp_path / "files"
    with published_images(config), set_up_broker([tag]) as broker:
        agent_url_file = broker.folder / f"{tag}-agent.url"
        with (
            EndListener(broker.url("listener")) as listener,
            ServiceProcess("std_h5_writer", config_file, agent_url_file),
            ServiceProcess("std_writer_agent", config_file, agent_url_file) as agent,
        ):
            for queue in (f"{tag}.request", f"{tag}.kill", listener.queue):
                wait_until_written(broker.node.folder, queue)
            client = Client(broker.url(f"{tag}-client"), tag, folder, n_requests, random.Random(seed + 1))
            chaos = Chaos(chance, agent, broker.node)
            client.start()
            deadline = time.monotonic() + 60 + n_requests
            for _ in range(MIN_STRIKES + n_requests // REQUESTS_A_STRIKE):
                chaos.pause(3.0)
                if not client.is_alive() and len(listener.ends) == n_requests:
                    break
                chaos.strike()
            client.join(deadline - time.monotonic())
            assert client.error is None
            wait_for_ends(listener, set(client.confirmed), deadline)
            # The last strike may have come between the end of a request and the broker's word that it was told.
            agent.wait_ready(config)
            assert agent.end(signal.SIGTERM) == 0
    journal = read_journal(config)
    verdicts = Counter(str(journal[request_id]["verdict"]) for request_id in client.confirmed)
    n_repeated = sum(len(ends) - 1 for ends in listener.ends.values())
    sys.stdout.write(
        f"{dict(chaos.struck)}; sent again {client.n_sent_again}; ends told again {n_repeated}; {dict(verdicts)}\n"
    )
    assert_ends_are_those_of_the_journal(listener, journal, client)
    assert_files_are_those_of_the_journal(folder, journal, client)
    assert verdicts[Verdict.COMPLETE] > 0


def wait_for_ends(listener: EndListener, request_ids: set[str], deadline: float) -> None:
    def missing() -> set[str]:
        return request_ids - listener.ends.keys()

    wait_until(
        lambda: not missing(),
        deadline - time.monotonic(),
        lambda: f"{len(missing())} confirmed requests have no end",
    )


def read_journal(config: DetectorConfig) -> dict[str, dict[str, Any]]:
    path = next(make_runtime_dir(config).glob("*.sqlite"))
    with closing(sqlite3.connect(path)) as database:
        rows = database.execute("SELECT request_id, state, is_published, report FROM requests").fetchall()
    return {
        request_id: {"state": state, "is_published": done, **json.loads(report)}
        for request_id, state, done, report in rows
    }


def assert_ends_are_those_of_the_journal(
    listener: EndListener, journal: dict[str, dict[str, Any]], client: Client
) -> None:
    """No confirmed request is lost; each has one end, however often it was told."""
    assert listener.ends.keys() == journal.keys() == client.confirmed.keys()
    for request_id, ends in listener.ends.items():
        entry = journal[request_id]
        assert (entry["state"], entry["is_published"]) == ("ended", 1)
        assert all(end == ends[0] for end in ends), "a repetition is the same message"
        message_id, headers, body = ends[0]
        assert message_id == f"{request_id}.end"
        status = StatusMessage.from_wire(request_id, body, headers)
        assert status.report is not None
        assert status.report.verdict == entry["verdict"]
        allowed = {Verdict.COMPLETE, Verdict.FAILED}
        assert status.report.verdict in (allowed | {Verdict.KILLED} if request_id in client.to_be_killed else allowed)


def assert_files_are_those_of_the_journal(folder: Path, journal: dict[str, dict[str, Any]], client: Client) -> None:
    """Each request has written its file or none, and nothing else is there."""
    found = set(folder.iterdir()) if folder.is_dir() else set()
    assert found <= set(client.confirmed.values()), "a request was carried out twice"
    for request_id, path in client.confirmed.items():
        entry = journal[request_id]
        if entry["verdict"] == Verdict.COMPLETE:
            assert entry["files"] == [str(path)]
            assert (entry["n_written"], entry["n_lost"]) == (1, 0)
            assert path in found
        if path in found:
            with h5py.File(path, "r") as file:
                assert file[layout.REQUEST_ID].asstr()[()] == request_id
                assert list(file[layout.IMAGE_ID]) == [START_IMAGE_ID][: entry["n_written"]]
