"""A farm that encrypts: router, workers and clients of std-daq with keys, and who is kept out."""

import contextlib
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from std_daq.cli.sim import main as std_sim
from std_daq.errors import SimulationError
from std_daq.photons.backend import Job
from std_daq.photons.detector import PhotonDetector
from std_daq.photons.keys import SERVER_FILE, KeyFolder
from std_daq.photons.protocol import digest_of, job_key, photon_request
from std_daq.photons.sim_client import SimClient, hits_of
from std_test_kit.free_ports import free_tcp_port
from std_test_kit.photon_farm import PhotonProcess, ask
from std_test_kit.photon_tank import TANK, event_photons, write_tank

N_EVENTS = 12
GIVEN = ("--geometry", "tank.json")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    KeyFolder(folder).add(["worker", "laptop"])
    return folder


@pytest.fixture(scope="module")
def tank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tank(tmp_path_factory.mktemp("tank"))


@pytest.fixture
def addresses() -> tuple[str, str]:
    frontend, backend = (f"tcp://127.0.0.1:{free_tcp_port()}" for _ in range(2))
    return frontend, backend


def router(addresses: tuple[str, str], keys: Path, *more: str) -> PhotonProcess:
    clients, workers = addresses
    given = ("--frontend", clients, "--backend", workers, "--keys", keys / SERVER_FILE)
    return PhotonProcess("std_sim_router", *given, *more)


def worker(addresses: tuple[str, str], tank: Path, *keys: object) -> PhotonProcess:
    return PhotonProcess("std_sim_worker", "--geometry", tank, "--router", addresses[1], "--threads", 1, *keys)


def check_events(client: SimClient) -> None:
    """Assert that each event has the hits that the engine gives without a farm."""
    events = [event_photons(500, number) for number in range(N_EVENTS)]
    detector = PhotonDetector.of(TANK)
    found = {reply.event_id: hits_of(reply) for reply in client.simulate_many(enumerate(events))}
    for number, photons in enumerate(events):
        (expected,) = detector.backend(n_threads=1).simulate(
            [Job(job_key(digest_of(photon_request(number, photons))), photons)]
        )
        assert found[number].tobytes() == expected.tobytes()


@pytest.mark.long
def test_with_keys_hits_come_also_after_a_worker_and_the_router_were_killed(
    addresses: tuple[str, str], keys: Path, tank: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = ("--keys", keys / "worker.json")
    with router(addresses, keys) as first, worker(addresses, tank, *own) as one, worker(addresses, tank, *own) as other:
        for process in (one, other):
            process.wait_for_log("router_connected")
        with SimClient(addresses[0], keys=keys / "laptop.json") as client:
            assert client.ping() < 5
            check_events(client)
            one.process.kill()  # type: ignore[union-attr]
            check_events(client)
            first.process.kill()  # type: ignore[union-attr]
            first.process.wait(10)  # type: ignore[union-attr]
            first.start()
            check_events(client)
        assert std_sim(["ping", "--address", addresses[0], "--keys", str(keys / "laptop.json")]) == 0
        assert std_sim(["ping", "--address", addresses[0], "--timeout-s", "0.3"]) == 1
        assert "--keys" in capsys.readouterr().err


@pytest.mark.long
def test_clients_in_plain_and_strangers_get_nothing(
    addresses: tuple[str, str], keys: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert std_sim(["keys", "--output", str(tmp_path), "stranger"]) == 0
    stranger = json.loads((tmp_path / "stranger.json").read_text())
    stranger["server"] = json.loads((keys / SERVER_FILE).read_text())["public"]
    (tmp_path / "stranger.json").write_text(json.dumps(stranger))
    with router(addresses, keys) as one:
        one.wait_for_log("listening")
        assert ask(addresses[0], [b"PING"], 0.5) == []
        with SimClient(addresses[0], keys=tmp_path / "stranger.json") as client, pytest.raises(SimulationError):
            client.ping(1.0)
        (refused, *_) = one.logged("stranger_refused")
        assert refused["key"] == stranger["public"]


@pytest.mark.long
def test_a_worker_in_plain_does_not_join(addresses: tuple[str, str], keys: Path, tank: Path) -> None:
    with router(addresses, keys) as one, worker(addresses, tank) as plain:
        plain.wait_for_log("started")
        with SimClient(addresses[0], keys=keys / "laptop.json") as client, pytest.raises(SimulationError):
            client.detector_info(1.0)
        assert not one.logged("worker_came")


@pytest.mark.long
def test_clients_of_others_connect_in_plain_if_the_router_lets_them(
    addresses: tuple[str, str], keys: Path, tank: Path
) -> None:
    with router(addresses, keys, "--plain-frontend"), worker(addresses, tank, "--keys", keys / "worker.json") as one:
        one.wait_for_log("router_connected")
        assert ask(addresses[0], [b"PING"]) == [b"ACK"]
        assert ask(addresses[0], [b"DETECTOR_INFO"])[0] == b"DETECTOR_INFO"
        with SimClient(addresses[0]) as client:
            check_events(client)


class Listener:
    """Forwards one connection at a time, and keeps what goes to the server; a context manager."""

    def __init__(self, port: int) -> None:
        self._server = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.heard = bytearray()
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> "Listener":
        self._threads[0].start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._listener.close()
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        # Until the listener is closed: by shutdown, which wakes accept.
        for _ in range(2):  # ping, then events
            client, _ = self._listener.accept()
            server = socket.create_connection(self._server)
            for source, target, heard in ((client, server, self.heard), (server, client, None)):
                thread = threading.Thread(target=self._pass_on, args=(source, target, heard))
                self._threads.append(thread)
                thread.start()

    @staticmethod
    def _pass_on(source: socket.socket, target: socket.socket, heard: bytearray | None) -> None:
        with source:
            while data := source.recv(65536):
                if heard is not None:
                    heard += data
                target.sendall(data)
            with contextlib.suppress(OSError):  # the other direction has ended, too
                target.shutdown(socket.SHUT_WR)


@pytest.fixture
def standalone(keys: Path, tank: Path) -> Iterator[int]:
    port = free_tcp_port()
    given = ("--standalone", "--frontend", f"tcp://127.0.0.1:{port}", "--geometry", tank, "--threads", 1)
    with PhotonProcess("std_sim_worker", *given, "--keys", keys / SERVER_FILE) as one:
        one.wait_for_log("started")
        yield port


def test_who_listens_on_the_way_reads_no_photons(standalone: int, keys: Path) -> None:
    with (
        Listener(standalone) as listener,
        SimClient(f"tcp://127.0.0.1:{listener.port}", keys=keys / "laptop.json") as client,
    ):
        client.ping(30)
        check_events(client)
    assert len(listener.heard) > N_EVENTS * 500 * 40
    assert b"PHOTONDATA" not in listener.heard
    assert event_photons(500, 0)["x"].tobytes() not in listener.heard


@pytest.mark.parametrize(
    ("package", "arguments", "message"),
    [
        ("std_sim_router", ["--keys", "none.json"], "argument --keys: cannot be read"),
        ("std_sim_router", ["--plain-frontend"], "nothing is encrypted"),
        ("std_sim_worker", [*GIVEN, "--standalone", "--keys", "laptop.json"], "no file of keys of a server"),
        ("std_sim_worker", [*GIVEN, "--keys", SERVER_FILE], "no file of keys of a client or worker"),
    ],
)  # fmt: skip
def test_wrong_files_end_a_service_with_what_to_do(
    package: str, arguments: list[str], message: str, keys: Path, runtime: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", package, *arguments], cwd=keys, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert message in done.stderr
