"""What an event of the photon simulation costs besides its simulation, and how a farm grows with its workers.

std-sim-router and std-sim-worker as processes, a small tank of water, one client. An event of 1000 photons goes from a
REQ socket through router and worker and back. The worker's own metrics tell how long the engine took; the rest is what
the event spent elsewhere: in sockets, queues, and in the hash that recognises it. Beside it an empty round trip between
two processes over the same kind of address.

For the growth each worker has one thread, and events of 100,000 photons keep all of them busy. Client, router and a
worker for each core share all cores; beside them client, router and one worker share one core. A farm that grows with
its cores does as many times as much as it has cores.
"""

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import zmq

from std_benchmarks.figure import Figure, Target
from std_benchmarks.receiving.cores import pinned
from std_benchmarks.setting import Setting
from std_daq.client.scrape import parse_samples
from std_daq.errors import ResourceError
from std_daq.photons.protocol import photon_request
from std_daq.photons.sim_client import SimClient
from std_test_kit.free_ports import free_tcp_port
from std_test_kit.photon_farm import PhotonProcess, wait_for_answer
from std_test_kit.photon_tank import event_photons, write_tank

N_PHOTONS = 1000
N_EVENTS = 200
N_LARGE_PHOTONS = 100_000
N_LARGE_EVENTS = 24
_PATIENCE_MS = 10_000


def measure(setting: Setting) -> Iterator[Figure]:
    """Give the time outside the simulation, and the rates of a farm on one core and on all of them."""
    tank = write_tank(setting.folder)
    core, n_cores = setting.cores[0], len(setting.cores)
    with ExitStack() as stack:
        small = stack.enter_context(_Farm(tank, 1))
        with pinned(core):
            of_one_core = stack.enter_context(_Farm(tank, 1))
        of_all_cores = stack.enter_context(_Farm(tank, n_cores))
        echo = stack.enter_context(_echo())
        series: tuple[list[float], ...] = ([], [], [], [])
        round_trips, outside, rates_of_one, rates_of_all = series
        for turn in range(setting.repeats + 1):
            setting.progress(f"turn {turn} of {setting.repeats}")
            with pinned(core):
                rate_of_one = of_one_core.rate(turn)
            measured = (_round_trip(echo), small.time_outside(turn), rate_of_one, of_all_cores.rate(turn))
            if turn:  # the first one warms up
                for values, value in zip(series, measured, strict=True):
                    values.append(value)
    details = {"empty round trip, us": round_trips}
    yield Figure(
        "event of 1000 photons outside the simulation", "us", outside, target=Target.at_most(1000), details=details
    )
    yield Figure(
        f"photons a second, {n_cores} workers on {n_cores} cores", "photons/s", rates_of_all,
        f"one worker on one core x {n_cores}", [rate * n_cores for rate in rates_of_one], target=Target.at_least(0.9),
    )  # fmt: skip


class _Farm:
    def __init__(self, tank: Path, n_workers: int) -> None:
        self._clients, backend = (f"tcp://127.0.0.1:{free_tcp_port()}" for _ in range(2))
        self._metrics = free_tcp_port()
        self._router = PhotonProcess("std_sim_router", "--frontend", self._clients, "--backend", backend)
        ports = [self._metrics, *(0 for _ in range(n_workers - 1))]
        self._workers = [
            PhotonProcess(
                "std_sim_worker", "--geometry", tank, "--router", backend, "--threads", 1, "--metrics-port", port
            )
            for port in ports
        ]
        self._photons = event_photons(N_PHOTONS)
        self._large = event_photons(N_LARGE_PHOTONS)

    def __enter__(self) -> "_Farm":
        for process in (self._router, *self._workers):
            process.start()
        for worker in self._workers:
            worker.wait_for_log("router_connected")
        wait_for_answer(self._clients)
        return self

    def __exit__(self, *exception: object) -> None:
        for process in (*self._workers, self._router):
            process.__exit__(*exception)

    def time_outside(self, turn: int) -> float:
        """Return the median time of an event without that of the engine, in us."""
        engine_s = self._engine_s()
        requests = [photon_request(turn * N_EVENTS + number, self._photons) for number in range(N_EVENTS)]
        with zmq.Context() as context, context.socket(zmq.REQ) as client:
            client.connect(self._clients)
            times_us = [_ask(client, request) for request in requests]
        return float(np.median(times_us)) - (self._engine_s() - engine_s) / N_EVENTS * 1e6

    def rate(self, turn: int) -> float:
        """Return how many photons are simulated in a second."""
        events = [(10**6 + turn * N_LARGE_EVENTS + number, self._large) for number in range(N_LARGE_EVENTS)]
        with SimClient(self._clients) as client:
            client.simulate(self._photons, 10**7 + turn)
            started_s = time.perf_counter()
            n_done = sum(1 for _ in client.simulate_many(events))
            return n_done * N_LARGE_PHOTONS / (time.perf_counter() - started_s)

    def _engine_s(self) -> float:
        with urlopen(f"http://127.0.0.1:{self._metrics}/metrics") as answer:
            samples = parse_samples(answer.read().decode())
            return next(one.value for one in samples if one.name == "daq_sim_worker_busy_seconds_total")


def _ask(client: "zmq.Socket[bytes]", request: list[bytes]) -> float:
    """Return how long the reply takes, in us."""
    started_s = time.perf_counter()
    client.send_multipart(request)
    if not client.poll(_PATIENCE_MS):
        raise ResourceError("no reply came")
    client.recv_multipart()
    return (time.perf_counter() - started_s) * 1e6


def _round_trip(address: str) -> float:
    """Return the median of an empty round trip, in us."""
    with zmq.Context() as context, context.socket(zmq.REQ) as client:
        client.connect(address)
        return float(np.median([_ask(client, [b""]) for _ in range(N_EVENTS)]))


@contextmanager
def _echo() -> Iterator[str]:
    address = f"tcp://127.0.0.1:{free_tcp_port()}"
    process = multiprocessing.get_context("spawn").Process(target=_answer_all, args=(address,), daemon=True)
    process.start()
    try:
        yield address
    finally:
        process.kill()
        process.join()


def _answer_all(address: str) -> None:
    with zmq.Context() as context, context.socket(zmq.REP) as server:
        server.bind(address)
        while True:
            server.send(server.recv())
