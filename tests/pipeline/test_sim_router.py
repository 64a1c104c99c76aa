"""A real router with workers and clients as others have them."""

import random
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
import zmq

from std_daq.photons.endpoints import MAX_PEERS
from std_daq.photons.protocol import photon_request
from std_daq.photons.sim_client import SimClient
from std_test_kit.free_ports import free_tcp_port
from std_test_kit.photon_farm import PhotonProcess, ask, wait_for_answer
from std_test_kit.photon_tank import event_photons
from std_test_kit.upstream_farm import UpstreamWorker, first_photon_is_hit
from std_test_kit.wait import wait_until
from std_test_kit.zmtp import connect_zmtp


class Router(PhotonProcess):
    """A router on free ports."""

    def __init__(self, *arguments: object) -> None:
        self.clients, self.workers = (f"tcp://127.0.0.1:{free_tcp_port()}" for _ in range(2))
        super().__init__("std_sim_router", "--frontend", self.clients, "--backend", self.workers, *arguments)


@pytest.fixture
def router() -> Iterator[Router]:
    with Router() as process:
        wait_for_answer(process.clients)
        yield process


def slow(seconds: float) -> Callable[[bytes, list[bytes]], list[bytes]]:
    def simulate(metadata: bytes, arrays: list[bytes]) -> list[bytes]:
        time.sleep(seconds)
        return first_photon_is_hit(metadata, arrays)

    return simulate


def test_router_answers_what_needs_no_worker(router: Router) -> None:
    assert ask(router.clients, [b"PING"]) == [b"ACK"]
    assert ask(router.clients, [b"RUN_BEGIN", b"output.root"]) == [b"ACK"]
    assert ask(router.clients, [b"RUN_END"]) == [b"ACK"]
    assert ask(router.clients, [b"SOMETHING"]) == [b"UNKNOWN_REQUEST"]
    assert ask(router.clients, [b"PHOTONDATA", struct.pack("<II", 5, 3)]) == [b"SIM_FAILED", struct.pack("<I", 5)]


def test_clients_are_served_beside_strangers_who_take_all_places(router: Router) -> None:
    with (
        SimClient(router.clients) as client,
        UpstreamWorker(router.workers, first_photon_is_hit),
        ExitStack() as strangers,
    ):
        assert client.submit(event_photons(5, 1), 1).result(20).event_id == 1  # type: ignore[union-attr]
        for _ in range(MAX_PEERS + 20):
            strangers.enter_context(connect_zmtp(router.clients, b"DEALER"))
        router.wait_for_log("connection_ended")
        assert client.submit(event_photons(5, 2), 2).result(20).event_id == 2  # type: ignore[union-attr]
        assert ask(router.clients, [b"PING"]) == [b"ACK"]
        with UpstreamWorker(router.workers, first_photon_is_hit):
            assert client.submit(event_photons(5, 3), 3).result(20).event_id == 3  # type: ignore[union-attr]


def test_events_wait_for_the_workers_of_others_and_none_is_refused(router: Router) -> None:
    events = [(number, event_photons(5, number)) for number in range(20)]
    with SimClient(router.clients) as client:
        futures = [client.submit(photons, number) for number, photons in events]
        wait_until(lambda: len(futures) == 20, 1)
        with UpstreamWorker(router.workers, first_photon_is_hit), UpstreamWorker(router.workers, first_photon_is_hit):
            for (number, photons), future in zip(events, futures, strict=True):
                reply = future.result(20)
                assert reply.event_id == number  # type: ignore[union-attr]
                assert reply.hits["wavelength"].tolist() == [photons["wavelength"][0]]  # type: ignore[union-attr]
            assert client.detector_info().positions.tolist() == [[1, 2, 3]]


@pytest.mark.alone
def test_event_that_is_sent_again_is_simulated_once_and_answered_over_the_new_connection(router: Router) -> None:
    request = photon_request(3, event_photons(5))
    with UpstreamWorker(router.workers, slow(1.0)) as worker:
        assert ask(router.clients, request, timeout_s=0.3) == []
        reply = ask(router.clients, request)
        assert reply[:2] == [b"SIM_COMPLETE", struct.pack("<I", 3)]
        started_s = time.monotonic()
        assert ask(router.clients, request) == reply
        assert time.monotonic() - started_s < 0.9
        assert worker.headers == [b"PHOTONDATA"]


@pytest.mark.long
def test_router_that_is_started_again_gets_the_events_again(router: Router) -> None:
    with UpstreamWorker(router.workers, slow(0.02)), SimClient(router.clients, n_in_flight=8) as client:
        futures = [client.submit(event_photons(5, number), number) for number in range(100)]
        futures[10].result(20)
        router.process.kill()  # type: ignore[union-attr]
        router.process.wait()  # type: ignore[union-attr]
        router.start()
        assert [future.result(30).event_id for future in futures] == list(range(100))  # type: ignore[union-attr]


def test_queue_is_bounded() -> None:
    with Router("--max-queued", 3) as router:
        wait_for_answer(router.clients)
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        dealer = context.socket(zmq.DEALER)
        dealer.connect(router.clients)
        for number in range(5):
            dealer.send_multipart([b"", *photon_request(number, event_photons(1))])
        replies = [dealer.recv_multipart() for _ in range(2) if dealer.poll(5000)]
        assert replies == [[b"", b"NO_WORKERS"]] * 2
        assert not dealer.poll(200)
        context.destroy(linger=0)


def random_message(generator: random.Random) -> list[bytes]:
    headers = [b"PHOTONDATA", b"RUN_BEGIN", b"RUN_END", b"DETECTOR", b"PING ", b"", b"\x01", b"\x02", b"SIM_COMPLETE"]
    frames = [generator.randbytes(generator.choice([0, 1, 4, 8, 8, 8, 40])) for _ in range(generator.randrange(16))]
    message = [generator.choice(headers), *frames]
    return message if generator.random() < 0.3 else [b"", *message]


def test_ten_thousand_malformed_messages_hold_nobody_up(router: Router) -> None:
    generator = random.Random(1)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    client, worker = context.socket(zmq.DEALER), context.socket(zmq.DEALER)
    client.connect(router.clients)
    worker.connect(router.workers)
    started_s = time.monotonic()
    for number in range(10_000):
        (worker if number % 5 == 0 else client).send_multipart(random_message(generator))
        if number % 100 == 0:
            while client.poll(0):
                client.recv_multipart()
    worker.close(linger=1000)
    with UpstreamWorker(router.workers, first_photon_is_hit):
        assert ask(router.clients, [b"PING"]) == [b"ACK"]
        assert ask(router.clients, photon_request(1, event_photons(5)))[0] == b"SIM_COMPLETE"
    assert time.monotonic() - started_s < 30
    context.destroy(linger=0)
    assert router.end() == 0, router.log.read_text()
    assert not router.logged("unexpected_error")


def test_event_in_flight_is_answered_before_the_router_ends(router: Router) -> None:
    with UpstreamWorker(router.workers, slow(1.0)) as worker:
        replies: list[list[bytes]] = []
        request = photon_request(1, event_photons(5))
        client = threading.Thread(target=lambda: replies.append(ask(router.clients, request)))
        client.start()
        wait_until(lambda: bool(worker.headers), 10)
        started_s = time.monotonic()
        assert router.end(within_s=4.0) == 0
        client.join()
        assert replies[0][0] == b"SIM_COMPLETE"
        assert time.monotonic() - started_s < 4


@pytest.mark.long
@pytest.mark.parametrize("address", ["nonsense", "tcp://127.0.0.1", "tcp://127.0.0.1:99999"])
def test_wrong_address_is_a_wrong_call(address: str) -> None:
    with PhotonProcess("std_sim_router", "--frontend", address) as process:
        assert process.process is not None
        assert process.process.wait(20) == 2
        assert "--frontend" in process.log.read_text()


def test_address_in_use_ends_the_router_with_1(router: Router) -> None:
    with PhotonProcess("std_sim_router", "--frontend", router.clients, "--backend", router.workers) as other:
        assert other.process is not None
        assert other.process.wait(20) == 1
        assert "cannot be opened: Address already in use: `ss -lnptu` shows by which program" in other.log.read_text()
