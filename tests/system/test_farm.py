"""A farm of the photon simulation in containers, one worker of which is killed."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from std_daq.photons.backend import Backend, Job
from std_daq.photons.engine import open_backend
from std_daq.photons.protocol import digest_of, job_key, photon_request
from std_daq.photons.sim_client import SimClient, hits_of
from std_daq.photons.sources import isotropic
from std_daq.photons.tanks import small_tank
from std_test_kit.engine import PROJECT, EngineError, docker, image_tag, run_command
from std_test_kit.free_ports import free_tcp_port

N_EVENTS = 30
UP_S = 120.0
Compose = Callable[..., str]

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def tank(tmp_path: Path) -> Path:
    file = tmp_path / "tank.json"
    file.write_text(json.dumps(small_tank()))
    file.chmod(0o644)
    return file


@pytest.fixture
def port() -> int:
    return free_tcp_port()


@pytest.fixture
def compose(images: dict[str, str], tank: Path, port: int) -> Iterator[Compose]:
    """The compose file as users have it, with the command that there is."""
    program = compose_command()
    file = PROJECT / "docker" / "farm" / "compose.yaml"
    project = f"std-daq-test-{os.getpid()}-farm"
    settings = {"GEOMETRY": str(tank), "PORT": str(port), "TAG": image_tag()}

    def call(*arguments: str) -> str:
        command = [*program, "-f", str(file), "-p", project, *arguments]
        return run_command(*command, timeout_s=UP_S, environment=settings)

    try:
        yield call
    finally:
        call("down", "--timeout", "5")


def compose_command() -> list[str]:
    """Return the command of compose: the plug-in, or the program of older engines."""
    try:
        docker("compose", "version")
    except EngineError:
        return ["docker-compose"]
    return ["docker", "compose"]


def test_events_are_answered_as_by_the_engine_although_a_worker_is_killed(
    compose: Compose, tank: Path, port: int
) -> None:
    compose("up", "--detach", "--scale", "worker=2")
    workers = compose("ps", "--quiet", "worker").split()
    assert len(workers) == 2
    events = [isotropic(2000, position=(0.0, 0.0, 50.0 * i), wavelength=400.0, seed=i) for i in range(N_EVENTS)]
    engine = open_backend(tank, seed=0, name="cpu", n_threads=1)
    with SimClient(f"tcp://127.0.0.1:{port}") as client:
        answers = {}
        for reply in client.simulate_many(enumerate(events)):
            if not answers:
                docker("kill", workers[0])
            answers[reply.event_id] = hits_of(reply)
    check(answers, events, engine)


def test_workers_come_and_go_by_scale_and_every_event_is_answered(compose: Compose, tank: Path, port: int) -> None:
    compose("up", "--detach", "--scale", "worker=1")
    # Arrays of less than 64 KiB: for larger ones pyzmq starts a thread, which stays.
    events = [isotropic(15_000, position=(0.0, 0.0, 50.0 * i), wavelength=400.0, seed=i) for i in range(N_EVENTS)]
    engine = open_backend(tank, seed=0, name="cpu", n_threads=1)
    answers = {}
    with SimClient(f"tcp://127.0.0.1:{port}") as client:
        for reply in client.simulate_many(enumerate(events)):
            answers[reply.event_id] = hits_of(reply)
            if len(answers) == 2:
                compose("up", "--detach", "--no-recreate", "--scale", "worker=3")
                assert len(compose("ps", "--quiet", "worker").split()) == 3
            if len(answers) == N_EVENTS // 2:
                compose("up", "--detach", "--no-recreate", "--scale", "worker=1")
    assert len(compose("ps", "--quiet", "worker").split()) == 1
    check(answers, events, engine)


def check(answers: dict[int, Any], events: list[Any], engine: Backend) -> None:
    """Assert that each event has the hits that the engine gives."""
    assert sorted(answers) == list(range(len(events)))
    for event_id, photons in enumerate(events):
        key = job_key(digest_of(photon_request(event_id, photons)))
        (expected,) = engine.simulate([Job(key, photons)])
        assert answers[event_id].tobytes() == expected.tobytes()
        assert len(expected)
