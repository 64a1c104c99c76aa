import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from std_daq.photons.backend import Channels, Job
from std_daq.photons.protocol import digest_of, photon_request
from std_daq.photons.records import HIT, PHOTON
from std_sim_worker.async_worker import AsyncWorker
from std_sim_worker.metrics import WorkerMetrics
from std_sim_worker.options import WorkerOptions
from std_sim_worker.runs.run_folder import RunFolder
from std_test_kit.root_files import open_root
from std_test_kit.wait import wait_until


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


def wait_for_end(output: Path) -> None:
    """Wait until the folder of the run is removed, as it is after its file was written."""
    wait_until(lambda: not (output / "a.charon.run").exists(), 20)


def test_event_that_ended_the_worker_five_times_has_a_row_without_hits(tmp_path: Path) -> None:
    leave_run(tmp_path, n_events=3, n_starts=5)
    assert numbers_of_hits(tmp_path, AllHitBackend()) == [0, 2, 2]


def test_events_are_simulated_one_by_one_after_the_worker_died_with_them(tmp_path: Path) -> None:
    leave_run(tmp_path, n_events=3, n_starts=1)
    backend = AllHitBackend()
    assert numbers_of_hits(tmp_path, backend) == [2, 2, 2]
    assert backend.calls == [1, 1, 1]


@pytest.mark.parametrize("n_starts", [1, 9])
@pytest.mark.parametrize("content", [None, b"", b"short", b"\xff" * 200, b"\0" * 5000])
def test_event_whose_file_a_power_cut_has_damaged_is_lost_and_told_and_the_others_are_simulated(
    tmp_path: Path, content: bytes | None, n_starts: int
) -> None:
    leave_run(tmp_path, n_events=4, n_starts=n_starts)
    damaged = tmp_path / "a.charon.run" / "requests" / f"{0 if n_starts > 5 else 1:012d}"
    damaged.unlink()
    if content is not None:
        damaged.write_bytes(content)
    with capture_logs() as told:
        assert numbers_of_hits(tmp_path, AllHitBackend()) == [2, 2, 2]
    assert [str(damaged) in line["error"] for line in told if line["event"] == "event_lost"] == [True]


def as_folder(path: Path) -> None:
    path.mkdir()
    (path / "of_somebody").write_text("x")


def as_bad_sector(path: Path) -> None:
    path.symlink_to("/proc/self/mem")  # a file whose first bytes give EIO


def as_huge_file(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**42)


STRANGE = {"is no file": [as_folder, os.mkfifo], "Input/output error": [as_bad_sector], "is damaged": [as_huge_file]}


@pytest.mark.parametrize(
    ("make", "reason"), [(make, reason) for reason, all_of_them in STRANGE.items() for make in all_of_them]
)
def test_event_whose_file_cannot_be_read_is_told_left_out_and_kept(
    tmp_path: Path, make: Callable[[Path], None], reason: str
) -> None:
    leave_run(tmp_path, n_events=4, n_starts=1)
    path = tmp_path / "a.charon.run" / "requests" / f"{1:012d}"
    path.unlink()
    make(path)
    what = path.lstat()
    with capture_logs() as told:
        assert numbers_of_hits(tmp_path, AllHitBackend()) == [2, 2, 2]
        wait_for_end(tmp_path)
    errors = [line["error"] for line in told if line["event"] == "event_lost"]
    assert len(errors) == 1
    assert str(path) in errors[0]
    assert reason in errors[0]
    kept = tmp_path / "a.charon.lost"
    assert [line["folder"] for line in told if line["event"] == "lost_events_kept"] == [str(kept)]
    assert os.path.samestat((kept / path.name).lstat(), what)


def test_events_that_are_lost_in_two_runs_of_a_name_are_both_kept(tmp_path: Path) -> None:
    for _ in range(2):
        leave_run(tmp_path, n_events=2, n_starts=1)
        (tmp_path / "a.charon.run" / "requests" / f"{0:012d}").write_bytes(b"short")
        numbers_of_hits(tmp_path, AllHitBackend())
        wait_for_end(tmp_path)
        (tmp_path / "a.charon.ntuple.root").unlink()
    assert sorted(path.name for path in tmp_path.glob("*.lost*")) == ["a.charon.lost", "a.charon.lost.1"]


@pytest.mark.parametrize("name", ["9" * 12, "9" * 40, "9" * 200, "\N{ARABIC-INDIC DIGIT FIVE}" * 12])
def test_stray_file_with_a_huge_number_adds_no_events(tmp_path: Path, name: str) -> None:
    leave_run(tmp_path, n_events=2, n_starts=1)
    (tmp_path / "a.charon.run" / "requests" / name).write_text("x")
    assert numbers_of_hits(tmp_path, AllHitBackend()) == [2, 2]


def test_file_of_an_event_that_cannot_be_removed_does_not_store_its_hits_twice(tmp_path: Path) -> None:
    leave_run(tmp_path, n_events=2, n_starts=1)
    run = RunFolder.of(tmp_path, "a")
    path = tmp_path / "a.charon.run" / "requests" / f"{0:012d}"
    path.unlink()
    as_folder(path)
    run.store(b"0" * 16, 0, np.zeros(3, HIT))
    run.close()
    assert numbers_of_hits(tmp_path, AllHitBackend()) == [3, 2]


@pytest.mark.parametrize("make", [as_folder, os.mkfifo, as_bad_sector])
def test_run_whose_hits_cannot_be_read_is_told_left_out_and_kept_and_the_others_go_on(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    leave_run(tmp_path, n_events=2, n_starts=1)
    bad = tmp_path / "b.charon.run"
    (bad / "requests").mkdir(parents=True)
    make(bad / "hits")
    with capture_logs() as told:
        assert numbers_of_hits(tmp_path, AllHitBackend()) == [2, 2]
    assert [line["run"] for line in told if line["event"] == "run_left_out"] == [str(bad)]
    assert (bad / "hits").lstat()


@pytest.mark.parametrize("make", [Path.touch, os.mkfifo, lambda path: path.symlink_to("/nowhere")])
def test_strange_thing_with_the_name_of_a_run_ends_no_worker(tmp_path: Path, make: Callable[[Path], None]) -> None:
    leave_run(tmp_path, n_events=2, n_starts=1)
    make(tmp_path / "b.charon.run")
    with capture_logs() as told:
        assert numbers_of_hits(tmp_path, AllHitBackend()) == [2, 2]
    assert [line["run"] for line in told if line["event"] == "run_left_out"] == [str(tmp_path / "b.charon.run")]


def test_lost_event_that_comes_again_is_taken(tmp_path: Path) -> None:
    leave_run(tmp_path, n_events=2, n_starts=1)
    run = RunFolder.of(tmp_path, "a")
    path = tmp_path / "a.charon.run" / "requests" / f"{0:012d}"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="is damaged"):
        run.request(0)
    n_known = len(run.digests)
    run.store_lost()
    assert digest_of(photon_request(0, np.zeros(2, PHOTON))) not in run.digests
    assert len(run.digests) == n_known - 1 == 1
    run.close()


def test_flipped_bit_in_the_file_of_an_event_is_not_simulated(tmp_path: Path) -> None:
    leave_run(tmp_path, n_events=2, n_starts=1)
    path = tmp_path / "a.charon.run" / "requests" / f"{1:012d}"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert numbers_of_hits(tmp_path, AllHitBackend()) == [2]


def test_foreign_files_beside_the_events_are_left_alone(tmp_path: Path) -> None:
    leave_run(tmp_path, n_events=2, n_starts=1)
    for name in (".nfs000000000ab12", "000000000001~", "notes.txt"):
        (tmp_path / "a.charon.run" / "requests" / name).write_text("x")
    assert numbers_of_hits(tmp_path, AllHitBackend()) == [2, 2]


def test_damaged_number_of_hits_takes_no_memory(tmp_path: Path) -> None:
    leave_run(tmp_path, n_events=2, n_starts=1)
    (tmp_path / "a.charon.run" / "hits").write_bytes(b"hits" + b"\xff" * 28)
    assert numbers_of_hits(tmp_path, AllHitBackend()) == [2, 2]


def test_lost_event_stays_lost_when_the_worker_starts_again(tmp_path: Path) -> None:
    leave_run(tmp_path, n_events=3, n_starts=1)
    run = RunFolder.of(tmp_path, "a")
    (tmp_path / "a.charon.run" / "requests" / f"{0:012d}").unlink()
    with pytest.raises(ValueError, match="is gone, or was not written to its end"):
        run.request(0)
    run.store_lost()
    run.close()
    again = RunFolder.of(tmp_path, "a")
    assert (again.n_done, again.n_received, list(again.rows())) == (1, 3, [])
    again.close()
    assert numbers_of_hits(tmp_path, AllHitBackend()) == [2, 2]
