from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry

from std_daq.photons.backend import Channels, Job
from std_daq.photons.protocol import digest_of, photon_request
from std_daq.photons.records import HIT, PHOTON
from std_sim_worker.async_worker import AsyncWorker
from std_sim_worker.metrics import WorkerMetrics
from std_sim_worker.options import WorkerOptions
from std_sim_worker.runs.run_folder import RunFolder
from std_test_kit.root_files import open_root


class AllHitBackend:
    """An engine that detects each photon, and notes how many events it is given at a time."""

    name = "all"
    channels = Channels(np.zeros((1, 3), np.float32), np.zeros(1, np.int32))

    def __init__(self) -> None:
        self.calls: list[int] = []

    def simulate(self, jobs: Sequence[Job]) -> list[NDArray[np.void]]:
        self.calls.append(len(jobs))
        return [np.zeros(len(job.photons), HIT) for job in jobs]


@contextmanager
def worker_of(output: Path, backend: AllHitBackend) -> Iterator[AsyncWorker]:
    options = WorkerOptions(
        geometry=Path(),
        seed=0,
        backend="cpu",
        n_threads=1,
        device=0,
        max_photons=100,
        ping_reply="ACK",
        router=None,
        frontend="tcp://127.0.0.1:*",
        output_directory=output,
        file_format="root",
    )
    worker = AsyncWorker(options, output, backend, WorkerMetrics(CollectorRegistry()))
    try:
        yield worker
    finally:
        worker.close()


def leave_run(output: Path, n_events: int, n_starts: int) -> None:
    """Leave a run behind that has ended, as a worker does that died at its first event again and again."""
    run = RunFolder.of(output, "a")
    for event_id in range(n_events):
        request = photon_request(event_id, np.zeros(2, PHOTON))
        run.add(digest_of(request), request)
    run.end()
    run.close()
    (run.path / "starts").write_text(f"0 {n_starts}")


def numbers_of_hits(output: Path, backend: AllHitBackend) -> list[int]:
    with worker_of(output, backend) as worker:
        while not (output / "a.charon.ntuple.root").exists():
            worker.step()
    with open_root(output / "a.charon.ntuple.root") as file:
        found: list[int] = file["output"].arrays(library="np")["nchannel_id"].tolist()
        return found


def test_event_that_ended_the_worker_five_times_has_a_row_without_hits(tmp_path: Path) -> None:
    leave_run(tmp_path, n_events=3, n_starts=5)
    assert numbers_of_hits(tmp_path, AllHitBackend()) == [0, 2, 2]


def test_events_are_simulated_one_by_one_after_the_worker_died_with_them(tmp_path: Path) -> None:
    leave_run(tmp_path, n_events=3, n_starts=1)
    backend = AllHitBackend()
    assert numbers_of_hits(tmp_path, backend) == [2, 2, 2]
    assert backend.calls == [1, 1, 1]
