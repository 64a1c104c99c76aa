"""Real workers: behind a router, behind a router of others, and by themselves."""

import itertools
import json
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from std_daq.photons.backend import Backend, Job
from std_daq.photons.engine import open_backend
from std_daq.photons.protocol import digest_of, hits_reply, job_key, photon_request
from std_daq.photons.replies import Hits
from std_daq.photons.sim_client import SimClient
from std_test_kit.free_ports import free_tcp_port
from std_test_kit.photon_farm import PhotonProcess, ask, wait_for_answer
from std_test_kit.photon_tank import N_CHANNELS, event_photons, write_tank
from std_test_kit.root_files import open_root
from std_test_kit.upstream_farm import UpstreamRouter
from std_test_kit.wait import wait_until


@pytest.fixture(scope="module")
def tank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tank(tmp_path_factory.mktemp("tank"))


@pytest.fixture(scope="module")
def engine(tank: Path) -> Backend:
    return open_backend(tank, seed=0, name="cpu", n_threads=1)


def hits_without_a_farm(engine: Backend, event_id: int, photons: NDArray[np.void]) -> NDArray[np.void]:
    key = job_key(digest_of(photon_request(event_id, photons)))
    (hits,) = engine.simulate([Job(key, photons)])
    return hits


def address() -> str:
    return f"tcp://127.0.0.1:{free_tcp_port()}"


class Farm:
    """A router and workers."""

    def __init__(self, tank: Path, n_workers: int) -> None:
        self.clients, self.backend = address(), address()
        self.router = PhotonProcess("std_sim_router", "--frontend", self.clients, "--backend", self.backend)
        worker = ("std_sim_worker", "--geometry", tank, "--router", self.backend, "--threads", 1)
        self.workers = [PhotonProcess(*worker) for _ in range(n_workers)]  # type: ignore[arg-type]

    def __enter__(self) -> "Farm":
        for process in (*self.workers, self.router):  # a worker waits for its router
            process.start()
        return self

    def __exit__(self, *exception: object) -> None:
        for process in (*self.workers, self.router):
            process.__exit__(*exception)

    def wait_for_workers(self) -> None:
        for worker in self.workers:
            worker.wait_for_log("router_connected")


def kill_and_start(process: PhotonProcess) -> None:
    assert process.process is not None
    process.process.kill()
    process.process.wait()
    process.start()


def check_farm(
    tank: Path, engine: Backend, *, n_workers: int, n_events: int, n_kills: int, n_router_kills: int
) -> None:
    """Let four clients simulate while workers are killed and the router is started again."""
    events = {
        (client, number): event_photons(1 + 97 * number % 4000, 1000 * client + number)
        for client in range(4)
        for number in range(n_events // 4)
    }
    replies: dict[tuple[int, int], list[NDArray[np.void]]] = {key: [] for key in events}
    failures: list[BaseException] = []
    with Farm(tank, n_workers) as farm:
        farm.wait_for_workers()

        def simulate(client: int) -> None:
            mine = ((number, photons) for (owner, number), photons in events.items() if owner == client)
            try:
                with SimClient(farm.clients, n_in_flight=16) as sim_client:
                    for reply in sim_client.simulate_many(mine):
                        assert isinstance(reply, Hits)
                        replies[client, reply.event_id].append(reply.hits)
            except BaseException as error:  # noqa: BLE001 - raised again below
                failures.append(error)

        def n_done() -> int:
            return sum(map(len, replies.values()))

        clients = [threading.Thread(target=simulate, args=(client,)) for client in range(4)]
        for client in clients:
            client.start()
        victims = itertools.cycle(farm.workers)
        acts = ["worker"] * n_kills + ["router"] * n_router_kills
        for index, act in enumerate(np.random.default_rng(1).permutation(acts)):
            n_before = (index + 1) * n_events // (len(acts) + 1)
            wait_until(lambda n=n_before: n_done() >= n or bool(failures), 110)  # type: ignore[misc]
            kill_and_start(next(victims) if act == "worker" else farm.router)
        for client in clients:
            client.join(110)
    assert not failures
    for (_, number), photons in events.items():
        (hits,) = replies.pop((_, number))
        assert hits.tobytes() == hits_without_a_farm(engine, number, photons).tobytes()


@pytest.mark.long
def test_every_event_is_answered_once_while_workers_are_killed_and_the_router_starts_again(
    tank: Path, engine: Backend
) -> None:
    check_farm(tank, engine, n_workers=2, n_events=600, n_kills=2, n_router_kills=1)


@pytest.mark.long
@pytest.mark.timeout(400)
def test_ten_thousand_events_of_four_clients_with_four_workers(tank: Path, engine: Backend) -> None:
    check_farm(tank, engine, n_workers=4, n_events=10_000, n_kills=8, n_router_kills=2)


@pytest.mark.long
def test_worker_works_behind_the_router_of_others_and_is_given_one_event_at_a_time(tank: Path, engine: Backend) -> None:
    clients, backend = address(), address()
    worker = PhotonProcess("std_sim_worker", "--geometry", tank, "--router", backend)
    with UpstreamRouter(clients, backend) as router, worker:
        wait_until(lambda: ask(clients, [b"DETECTOR_INFO"])[0] == b"DETECTOR_INFO", 100)
        router.n_refused = 0
        for number in range(50):
            photons = event_photons(20_000, number)
            reply = ask(clients, photon_request(number, photons))
            assert reply == hits_reply(number, hits_without_a_farm(engine, number, photons))
        assert (router.n_given_to_busy, router.n_refused) == (0, 0)
        assert worker.end(within_s=4) == 0


@pytest.fixture(scope="module")
def standalone(tank: Path) -> Iterator[tuple[PhotonProcess, str]]:
    clients = address()
    arguments = ("--geometry", tank, "--standalone", "--frontend", clients, "--max-photons", 3_000_000)
    with PhotonProcess("std_sim_worker", *arguments) as worker:
        wait_for_answer(clients)
        yield worker, clients


def test_standalone_worker_answers_every_request(standalone: tuple[PhotonProcess, str], engine: Backend) -> None:
    _, clients = standalone
    assert ask(clients, [b"RUN_BEGIN", b"\xff"]) == [b"ACK"]
    assert ask(clients, [b"RUN_END"]) == [b"ACK"]
    assert ask(clients, [b"HELLO"]) == [b"UNKNOWN_REQUEST"]
    info = ask(clients, [b"DETECTOR_INFO"])
    assert [len(frame) for frame in info] == [13, *[4 * N_CHANNELS] * 4]
    assert ask(clients, photon_request(9, event_photons(0))) == [b"SIM_COMPLETE", struct.pack("<I", 9), *[b""] * 10]
    assert ask(clients, photon_request(9, event_photons(3))[:-1]) == [b"SIM_FAILED", struct.pack("<I", 9)]
    photons = event_photons(5000)
    assert ask(clients, photon_request(1, photons)) == hits_reply(1, hits_without_a_farm(engine, 1, photons))
    assert ask(clients, photon_request(2, event_photons(3_000_001))) == [b"SIM_FAILED", struct.pack("<I", 2)]


@pytest.mark.long
def test_worker_answers_while_it_simulates_and_ends_within_four_seconds(tank: Path) -> None:
    clients = address()
    arguments = ("--geometry", tank, "--standalone", "--frontend", clients, "--threads", 1)
    with PhotonProcess("std_sim_worker", *arguments) as worker:
        wait_for_answer(clients)
        large = photon_request(0, np.tile(event_photons(10_000), 600))
        many = threading.Thread(target=ask, args=(clients, large, 5.0))
        many.start()
        numbers = itertools.count(1)
        wait_until(lambda: worker_is_busy(clients, next(numbers)), 20)
        started_s = time.monotonic()
        assert worker.end(within_s=4.0) == 0
        assert time.monotonic() - started_s < 4.0
        many.join()


def worker_is_busy(clients: str, number: int) -> bool:
    """Return whether a small event waits behind another one, while PING is answered."""
    assert ask(clients, [b"PING"]) == [b"ACK"]
    return ask(clients, photon_request(number, event_photons(1)), timeout_s=0.5) == []


def test_wrong_geometry_is_a_wrong_call(tmp_path: Path) -> None:
    (tmp_path / "wrong.json").write_text(json.dumps({"format": "std-sim-geometry", "version": 1, "colour": "red"}))
    with PhotonProcess("std_sim_worker", "--geometry", tmp_path / "wrong.json") as worker:
        assert worker.process is not None
        assert worker.process.wait(60) == 2
        assert "colour" in worker.log.read_text()


@pytest.mark.long
def test_wrong_options_are_a_wrong_call(tank: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    directory = ("--standalone", "--async", "--output-directory", tmp_path / "file")
    for arguments, named in (
        (("--async",), "--standalone"),
        (directory, "cannot be made"),
        (("--seed", "-1"), "0 to 2^63"),
        (("--router", "nonsense"), "this is no address"),
    ):
        with PhotonProcess("std_sim_worker", "--geometry", tank, *arguments) as worker:
            assert worker.process is not None
            assert worker.process.wait(60) == 2
            assert named in worker.log.read_text()


class Recorder(PhotonProcess):
    """An asynchronous worker."""

    def __init__(self, tank: Path, output: Path) -> None:
        self.clients = address()
        self.output = output
        super().__init__(
            "std_sim_worker", "--geometry", tank, "--standalone", "--async", "--frontend", self.clients,
            "--output-directory", output, "--threads", 1,
        )  # fmt: skip

    def send(self, event_id: int, photons: NDArray[np.void]) -> None:
        """Send an event as the C++ client does, up to three times."""
        replies = (ask(self.clients, photon_request(event_id, photons), 2.5) for _ in range(3))
        assert next(filter(None, replies), None) == [b"SIM_COMPLETE_ASYNC", struct.pack("<I", event_id)]


def check_rows(path: Path, engine: Backend, events: list[tuple[int, NDArray[np.void]]]) -> None:
    with open_root(path) as file:
        rows = file["output"].arrays(library="np")
        assert file["detinfo"].num_entries == N_CHANNELS
        assert "nchannel_id" in file["output"].keys()  # noqa: SIM118 - not a dict
    assert rows["event_id"].tolist() == [event_id for event_id, _ in events]
    for row, (event_id, photons) in enumerate(events):
        hits = hits_without_a_farm(engine, event_id, photons)
        assert rows["channel_id"][row].tolist() == hits["channel"].tolist()
        assert rows["w"][row].tolist() == hits["dz"].tolist()
        assert rows["flag"][row].tolist() == hits["flags"].tolist()


@pytest.mark.long
def test_killed_worker_loses_no_event_that_it_has_accepted(tank: Path, engine: Backend, tmp_path: Path) -> None:
    events = [(number, event_photons(0 if number % 7 == 3 else 5000, number)) for number in range(60)]
    with Recorder(tank, tmp_path / "out") as worker:
        wait_for_answer(worker.clients)
        assert ask(worker.clients, [b"RUN_BEGIN", b"../../first.root"]) == [b"ACK"]
        for event_id, photons in events[:40]:
            worker.send(event_id, photons)
        kill_and_start(worker)
        wait_for_answer(worker.clients)
        for event_id, photons in events[39:]:  # the last one before may not have been answered
            worker.send(event_id, photons)
        assert ask(worker.clients, [b"RUN_END"], 60) == [b"ACK"]
        check_rows(tmp_path / "out" / "first.charon.ntuple.root", engine, events)
        assert ask(worker.clients, [b"RUN_END"]) == [b"ACK"]
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["first.charon.ntuple.root"]

        assert ask(worker.clients, [b"RUN_BEGIN", b""]) == [b"ACK"]
        worker.send(1, events[1][1])
        worker.send(1, events[1][1])
        large = photon_request(2, np.tile(event_photons(10_000), 100))
        assert ask(worker.clients, large, 2.0) == [b"SIM_COMPLETE_ASYNC", struct.pack("<I", 2)]
        assert ask(worker.clients, [b"RUN_BEGIN", b"output"]) == [b"ACK"]  # ends the one before
        assert ask(worker.clients, [b"RUN_END"], 60) == [b"ACK"]
        assert worker.end(within_s=4) == 0
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["first.charon.ntuple.root", "output.charon.ntuple.root", "output~1.charon.ntuple.root"]
    with open_root(tmp_path / "out" / "output.charon.ntuple.root") as file:
        assert file["output"].arrays(library="np")["event_id"].tolist() == [1, 2]
