"""Workers that look for a GPU: numba's simulator takes its place, or there is none."""

from pathlib import Path

import pytest

from std_daq.photons.backend import Job
from std_daq.photons.engine import open_backend
from std_daq.photons.protocol import digest_of, job_key, photon_request
from std_daq.photons.sim_client import SimClient
from std_test_kit.free_ports import free_tcp_port
from std_test_kit.photon_farm import PhotonProcess, wait_for_answer
from std_test_kit.photon_tank import event_photons, write_tank

N_PHOTONS = 300


@pytest.fixture
def address() -> str:
    return f"tcp://127.0.0.1:{free_tcp_port()}"


@pytest.fixture
def tank(tmp_path: Path) -> Path:
    return write_tank(tmp_path)


def worker(tank: Path, address: str, *arguments: object) -> PhotonProcess:
    return PhotonProcess(
        "std_sim_worker", "--geometry", tank, "--standalone", "--frontend", address, "--threads", 1, *arguments
    )


@pytest.fixture
def simulated_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba_cuda", reason="needs numba-cuda: pip install 'std-daq[cuda]'")
    monkeypatch.setenv("NUMBA_ENABLE_CUDASIM", "1")
    monkeypatch.setenv("PYTHONWARNINGS", "ignore::RuntimeWarning")  # of float32 in plain Python


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba_cuda", reason="needs numba-cuda: pip install 'std-daq[cuda]'")
    monkeypatch.setenv("NUMBA_DISABLE_CUDA", "1")


@pytest.mark.long
@pytest.mark.usefixtures("simulated_gpu")
def test_a_worker_takes_the_gpu_and_gives_the_same_hits(tank: Path, address: str) -> None:
    photons = event_photons(N_PHOTONS, 1)
    with worker(tank, address) as process:
        wait_for_answer(address)
        (chosen,) = process.logged("engine_chosen")
        assert (chosen["engine"], chosen["device"]) == ("cuda", 0)
        with SimClient(address) as client:
            hits = client.simulate(photons, 7, timeout_s=60)
    key = job_key(digest_of(photon_request(7, photons)))
    (expected,) = open_backend(tank, seed=0, name="cpu", n_threads=1).simulate([Job(key, photons)])
    assert hits.tobytes() == expected.tobytes()
    assert len(expected) > 0


@pytest.mark.long
@pytest.mark.usefixtures("no_gpu")
def test_a_worker_without_a_gpu_takes_the_cores_and_says_why(tank: Path, address: str) -> None:
    with worker(tank, address) as process:
        wait_for_answer(address)
        (chosen,) = process.logged("engine_chosen")
    assert chosen["engine"] == "cpu"
    assert chosen["why"].startswith("CUDA does not start: CUDA is disabled due to setting NUMBA_DISABLE_CUDA=1")


@pytest.mark.long
@pytest.mark.usefixtures("no_gpu")
def test_a_worker_that_was_told_to_take_a_gpu_ends_without_one(tank: Path, address: str) -> None:
    with worker(tank, address, "--backend", "cuda") as process:
        assert process.process is not None
        assert process.process.wait(60) == 2
        (refusal,) = process.logged("cannot_go_on")
    assert refusal["error"].startswith("argument --backend: CUDA does not start: ")
    assert refusal["error"].endswith("or take --backend cpu")
