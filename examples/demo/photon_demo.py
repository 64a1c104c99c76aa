"""A farm of the photon simulation: a router, two workers, one of which is killed in mid-run, 20 events, a table.

Each event has to be answered once, with the very hits that the engine gives by itself.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from steps import step

from std_daq.photons.backend import Job
from std_daq.photons.engine import open_backend
from std_daq.photons.protocol import digest_of, job_key, photon_request
from std_daq.photons.replies import Hits
from std_daq.photons.sim_client import SimClient
from std_daq.photons.sources import isotropic
from std_daq.photons.tanks import small_tank

N_EVENTS = 20
N_PHOTONS = 100_000
N_WORKERS = 2
KILL_AFTER = 5
READY_TIMEOUT_S = 180.0  # the first start compiles the engine
SEED = 1


@dataclass(frozen=True)
class Answer:
    """The hits of an event, and when they came."""

    event_id: int
    hits: NDArray[np.void]
    seconds: float
    n_workers: int


def run(output: Path) -> int:
    """Run the demo; returns 0 if everything is as it has to be."""
    folder = output.absolute() / time.strftime("%Y%m%d-%H%M%S")
    folder.mkdir(parents=True)
    tank = folder / "tank.json"
    tank.write_text(json.dumps(small_tank()))
    console = Console(stderr=True)
    with farm(folder, tank) as (address, workers):
        with step(console, "a router and workers start, and compile the engine"):
            wait_until_ready(folder)
        with step(console, f"{N_EVENTS} events of {N_PHOTONS:,} photons are simulated; a worker is killed meanwhile"):
            answers = simulate(address, workers)
    with step(console, "each answer is compared with that of the engine without a farm"):
        problems = list(differences(tank, answers))
    summarise(answers, problems, folder)
    return 1 if problems else 0


def simulate(address: str, workers: list["subprocess.Popen[bytes]"]) -> list[Answer]:
    """Have the events simulated, and kill a worker meanwhile."""
    events = [(event_id, photons(event_id)) for event_id in range(N_EVENTS)]
    answers: list[Answer] = []
    started_s = time.monotonic()
    with SimClient(address) as client:
        for reply in client.simulate_many(events):
            if isinstance(reply, Hits):
                n_workers = sum(worker.poll() is None for worker in workers)
                answers.append(Answer(reply.event_id, reply.hits, time.monotonic() - started_s, n_workers))
            if len(answers) == KILL_AFTER:
                workers[0].kill()
                workers[0].wait()
    return answers


def photons(event_id: int) -> NDArray[np.void]:
    """Return the light of an event: from another place for each."""
    along = 3000 * event_id / (N_EVENTS - 1) - 1500
    return isotropic(N_PHOTONS, wavelength=420, position=(0, 0, along), seed=event_id)


def differences(tank: Path, answers: list[Answer]) -> Iterator[str]:
    """Tell what is not as it has to be."""
    numbers = sorted(answer.event_id for answer in answers)
    if numbers != list(range(N_EVENTS)):
        yield f"answers came to the events {numbers}"
    engine = open_backend(tank, seed=SEED, name="cpu", n_threads=None)
    for answer in answers:
        light = photons(answer.event_id)
        key = job_key(digest_of(photon_request(answer.event_id, light)))
        (hits,) = engine.simulate([Job(key, light)])
        if hits.tobytes() != answer.hits.tobytes():
            yield f"event {answer.event_id}: other hits than without a farm"


@contextlib.contextmanager
def farm(folder: Path, tank: Path) -> Iterator[tuple[str, list["subprocess.Popen[bytes]"]]]:
    """Run a router and workers; gives the address for clients, and the workers."""
    clients, backend = (f"tcp://127.0.0.1:{free_port()}" for _ in range(2))
    router = start(folder, "router", "std_sim_router", "--frontend", clients, "--backend", backend)
    arguments = ("--geometry", str(tank), "--router", backend, "--seed", str(SEED), "--threads", "1")
    workers = [start(folder, f"worker-{index}", "std_sim_worker", *arguments) for index in range(N_WORKERS)]
    try:
        yield clients, workers
    finally:
        for process in (*workers, router):
            process.send_signal(signal.SIGINT)
        for process in (*workers, router):
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def start(folder: Path, name: str, package: str, *arguments: str) -> "subprocess.Popen[bytes]":
    """Start a service, whose log is a file of the folder."""
    with (folder / f"{name}.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", package, *arguments],
            stderr=log,
            env=os.environ | {"STD_DAQ_RUNTIME_DIR": str(folder / "run")},
        )


def wait_until_ready(folder: Path) -> None:
    """Wait until all workers have found the router."""
    deadline_s = time.monotonic() + READY_TIMEOUT_S
    logs = [folder / f"worker-{index}.log" for index in range(N_WORKERS)]
    while not all("router_connected" in log.read_text() for log in logs):
        if time.monotonic() > deadline_s:
            raise SystemExit(f"the workers did not start; see {folder}")
        time.sleep(0.1)


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def summarise(answers: list[Answer], problems: list[str], folder: Path) -> None:
    """Print what happened."""
    title = f"{N_EVENTS} events of {N_PHOTONS:,} photons, {N_WORKERS} workers, one killed after {KILL_AFTER} events"
    table = Table("event", "hits", "sensors", "first hit, ns", "answered after, s", "workers", title=title)
    for answer in answers:
        first = f"{answer.hits['time'].min():.2f}" if len(answer.hits) else ""
        n_sensors = len(np.unique(answer.hits["channel"]))
        row = (str(answer.event_id), str(len(answer.hits)), str(n_sensors), first)
        table.add_row(*row, f"{answer.seconds:.2f}", str(answer.n_workers))
    console = Console(width=100)
    console.print(table)
    for problem in problems:
        console.print(f"[red]{problem}")
    if not problems:
        console.print("each event was answered once, with the hits that the engine gives without a farm")
    console.print(f"logs  {folder}", soft_wrap=True, highlight=False)
