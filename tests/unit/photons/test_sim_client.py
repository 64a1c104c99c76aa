"""The client beside servers that are written down here, one reply after the other."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import zmq

from std_daq.errors import ArgumentError, SimulationError
from std_daq.photons.async_sim_client import AsyncSimClient
from std_daq.photons.protocol import accepted_reply, failed_reply, hits_reply
from std_daq.photons.records import HIT, PHOTON
from std_daq.photons.replies import Accepted, Hits
from std_daq.photons.sim_client import SimClient
from std_test_kit.free_ports import free_tcp_port
from std_test_kit.quick_handshakes import connect_at_once

Reply = list[bytes] | None


@contextmanager
def server(reply_to: Callable[[list[bytes]], Reply], address: str | None = None) -> Iterator[str]:
    """Answer each request with what a function returns; None: not at all."""
    address = address or f"tcp://127.0.0.1:{free_tcp_port()}"
    stop = threading.Event()
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.ROUTER)
    socket.bind(address)

    def run() -> None:
        while not stop.is_set():
            if socket.poll(20):
                client, empty, *request = socket.recv_multipart()
                reply = reply_to(request)
                if reply is not None:
                    socket.send_multipart([client, empty, *reply])
        socket.close(linger=0)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield address
    finally:
        stop.set()
        thread.join()
        context.term()


def photons(n: int) -> np.ndarray:
    return np.zeros(n, PHOTON)


def as_many_hits(request: list[bytes]) -> list[bytes]:
    event_id, n_photons = np.frombuffer(request[1], "<u4")
    return hits_reply(int(event_id), np.zeros(n_photons, HIT))


def test_each_event_has_its_own_reply_in_whatever_order_they_come() -> None:
    kept: list[list[bytes]] = []

    def two_at_a_time(request: list[bytes]) -> Reply:
        kept.append(request)
        return as_many_hits(kept.pop(0)) if len(kept) > 1 else None

    with server(two_at_a_time) as address, SimClient(address, n_in_flight=4) as client:
        futures = [client.submit(photons(number), number) for number in range(9)]
        for number, future in enumerate(futures[:8]):
            reply = future.result(10)
            assert isinstance(reply, Hits)
            assert (reply.event_id, len(reply.hits)) == (number, number)


def test_two_events_of_one_number_are_never_in_flight_together() -> None:
    n_open, most = 0, 0

    def count(request: list[bytes]) -> Reply:
        nonlocal n_open, most
        n_open += 1
        most = max(most, n_open)
        time.sleep(0.02)
        n_open -= 1
        return as_many_hits(request)

    with server(count) as address, SimClient(address) as client:
        futures = [client.submit(photons(n), 7) for n in range(4)]
        assert sorted(len(future.result(10).hits) for future in futures) == [0, 1, 2, 3]  # type: ignore[union-attr]


def test_event_that_is_refused_is_sent_again() -> None:
    refusals = [[b"NO_WORKERS"], [b"NO_WORKERS"]]

    def refuse_first(request: list[bytes]) -> Reply:
        return refusals.pop() if refusals else as_many_hits(request)

    with server(refuse_first) as address, SimClient(address) as client:
        assert len(client.simulate(photons(3), timeout_s=10)) == 3


def test_events_are_sent_again_when_the_server_is_back() -> None:
    address = f"tcp://127.0.0.1:{free_tcp_port()}"
    with SimClient(address) as client:
        with server(lambda request: None, address):
            future = client.submit(photons(2), 1)
            with pytest.raises(TimeoutError):
                future.result(0.5)
        with server(as_many_hits, address):
            assert future.result(10).event_id == 1  # type: ignore[union-attr]


def test_server_that_is_connected_at_once_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    connect_at_once(monkeypatch)
    with server(as_many_hits) as address, SimClient(address) as client:
        assert client.submit(photons(1), 3).result(10).event_id == 3


def test_server_that_is_away_for_too_long_is_an_error() -> None:
    address = f"tcp://127.0.0.1:{free_tcp_port()}"
    with SimClient(address, patience_s=0.3) as client:
        with pytest.raises(SimulationError, match="no server answers at"):
            client.simulate(photons(1))
        with pytest.raises(SimulationError, match="does not answer PING within"):
            client.ping(timeout_s=0.2)


def test_client_that_is_closed_leaves_no_event_open() -> None:
    with server(lambda request: None) as address:
        client = SimClient(address)
        future = client.submit(photons(1))
        client.close()
        with pytest.raises(SimulationError, match="closed"):
            future.result(1)


def test_event_that_fails_is_an_error_with_its_number() -> None:
    with (
        server(lambda request: failed_reply(5)) as address,
        SimClient(address) as client,
        pytest.raises(SimulationError, match="event 5 cannot be simulated"),
    ):
        client.simulate(photons(1), 5)


def test_event_whose_hits_go_into_a_file_has_none() -> None:
    with server(lambda request: accepted_reply(0)) as address, SimClient(address) as client:
        assert len(client.simulate(photons(1))) == 0
        assert list(client.simulate_many([(0, photons(1))])) == [Accepted(0)]


def test_other_servers_and_addresses_are_refused() -> None:
    with server(lambda request: [b"hello"]) as address, SimClient(address) as client:
        with pytest.raises(SimulationError, match="it is no server of the simulation"):
            client.ping()
        with pytest.raises(SimulationError, match="does not tell its channels"):
            client.detector_info()
    with pytest.raises(ArgumentError, match="this is no address"):
        SimClient("localhost")
    with SimClient() as client, pytest.raises(ValueError, match="events are numbered"):
        client.submit(photons(1), -1)


def test_asyncio_has_many_events_in_flight() -> None:
    async def simulate(address: str) -> list[int]:
        async with AsyncSimClient(address) as client:
            found = await asyncio.gather(*(client.simulate(photons(number), number) for number in range(20)))
            return [len(hits) for hits in found]

    with server(as_many_hits) as address:
        assert asyncio.run(simulate(address)) == list(range(20))
