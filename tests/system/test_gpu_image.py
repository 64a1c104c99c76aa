"""The image of workers for GPUs, on a machine without one."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from std_daq.photons.backend import Job
from std_daq.photons.engine import open_backend
from std_daq.photons.protocol import digest_of, job_key, photon_request
from std_daq.photons.sim_client import SimClient
from std_daq.photons.sources import isotropic
from std_daq.photons.tanks import small_tank
from std_test_kit.engine import Container, EngineError, docker, image_tag
from std_test_kit.free_ports import free_tcp_port
from std_test_kit.wait import wait_until

START_S = 60.0

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def image(engine: None) -> str:
    name = f"std-daq/sim-worker-gpu:{image_tag()}"
    try:
        docker("image", "inspect", name)
    except EngineError:
        pytest.skip(f"there is no {name}: docker/build.sh sim-worker-gpu makes it")
    return name


@pytest.fixture
def tank(tmp_path: Path) -> Path:
    file = tmp_path / "tank.json"
    file.write_text(json.dumps(small_tank()))
    file.chmod(0o644)
    tmp_path.chmod(0o755)
    return file


@pytest.fixture
def port() -> int:
    return free_tcp_port()


@pytest.fixture
def worker(image: str, tank: Path, port: int) -> Iterator[Container]:
    container = docker(
        *("run", "--detach", "--read-only", "--tmpfs", "/tmp", "--tmpfs", "/run/std-daq:mode=1777"),
        *("--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
        *("--publish", f"127.0.0.1:{port}:5555", "--volume", f"{tank}:/geometry/tank.json:ro", image),
        *("--geometry", "/geometry/tank.json", "--standalone", "--frontend", "tcp://*:5555", "--threads", "1"),
    ).strip()
    try:
        yield Container(container)
    finally:
        docker("rm", "--force", container)


def chosen_engine(worker: Container) -> dict[str, str]:
    """Wait until the worker has chosen, and return what its log says."""
    chosen: list[dict[str, str]] = []

    def is_chosen() -> bool:
        lines = [json.loads(line) for line in worker.logs.splitlines() if line.startswith("{")]
        chosen.extend(line for line in lines if line["event"] == "engine_chosen")
        return bool(chosen)

    wait_until(is_chosen, START_S, lambda: worker.logs)
    return chosen[0]


def test_worker_in_the_image_for_gpus_takes_processor_cores_and_gives_the_same_hits(
    worker: Container, tank: Path, port: int
) -> None:
    chosen = chosen_engine(worker)
    if chosen["engine"] == "cpu":  # the usual case: the engine of containers was not asked for a GPU
        assert chosen["why"].startswith("CUDA does not start: ")
    photons = isotropic(5000, wavelength=400.0, seed=1)
    with SimClient(f"tcp://127.0.0.1:{port}") as client:
        hits = client.simulate(photons, 3, timeout_s=START_S)
    key = job_key(digest_of(photon_request(3, photons)))
    (expected,) = open_backend(tank, seed=0, name="cpu", n_threads=1).simulate([Job(key, photons)])
    assert hits.tobytes() == expected.tobytes()
    assert len(hits)
