"""The h5_writer as a process: real ring, real sockets, real files, and whatever may happen to it."""

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  (registers the filter)
import psutil
import pytest

from std_daq.imaging.config.load import load_config
from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.config.paths import image_buffer_path
from std_daq.imaging.files import layout
from std_daq.imaging.files.recover import recover
from std_daq.imaging.files.validate import validate
from std_daq.recording.store_stream import ReportKind
from std_test_kit.store_driver import N_MODULES, RingPublisher, StoreDriver, missing_packets_of, pixels_of

SHAPE = (512, 514)


class Platform:
    """A ring, the agent's side, and writer processes."""

    def __init__(self, config_file: Path) -> None:
        self.config_file = config_file
        self.config: DetectorConfig = load_config(config_file)
        self.agent = StoreDriver(self.config)
        self.ring_path = image_buffer_path(self.config)
        self.publisher: RingPublisher | None = None
        self.processes: list[subprocess.Popen[bytes]] = []

    def make_ring(self, **options: Any) -> RingPublisher:
        self.publisher = RingPublisher(self.ring_path, **({"shape": SHAPE} | options))
        return self.publisher

    def start_writer(self, writer: int = 0, before: Callable[[], None] | None = None) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "std_h5_writer", "--config", self.config_file, "--writer", str(writer)]
        process = subprocess.Popen(command, preexec_fn=before)
        self.processes.append(process)
        self.agent.wait_for(ReportKind.ALIVE, writer=writer)
        return process

    def send_run(self, image_ids: range) -> None:
        """Publish images and name them, no faster than the writer takes them."""
        assert self.publisher is not None
        n_slots = self.publisher.ring.n_slots
        n_before = 0
        for i, image_id in enumerate(image_ids):
            while i - n_before >= n_slots - 2:
                report = self.agent.wait_for(ReportKind.PROGRESS)
                n_before = report.n_written + len(self.agent.lost_image_ids)
            self.agent.send(self.publisher.publish(image_id), i)

    def end_run(self, n_sent: int) -> list[str]:
        self.agent.end(n_sent)
        self.agent.wait_for(ReportKind.DRAINED)
        self.agent.finish()
        return self.agent.wait_for(ReportKind.FINISHED).files

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        if self.publisher is not None:
            self.publisher.close()
        self.agent.close()


@pytest.fixture
def make_platform(tmp_path: Path, runtime: Path, shm_dir: Path) -> Iterator[Callable[..., Platform]]:
    made: list[Platform] = []

    def make(**changes: Any) -> Platform:
        document = {
            "detector_name": "EG-writer",
            "detector_type": "eiger",
            "n_modules": N_MODULES,
            "bit_depth": 16,
            "image_pixel_height": SHAPE[0],
            "image_pixel_width": SHAPE[1],
            "start_udp_port": 50000,
            "module_positions": {"0": [0, 0, 513, 255], "1": [0, 256, 513, 511]},
            "shared_memory": {"directory": str(shm_dir)},
            "writer": {"flush_interval_s": 0.1},
        }
        config_file = tmp_path / "detector.json"
        config_file.write_text(json.dumps(document | changes))
        made.append(Platform(config_file))
        return made[-1]

    yield make
    for platform in made:
        platform.close()


@pytest.fixture
def platform(make_platform: Callable[..., Platform]) -> Platform:
    return make_platform()


def assert_holds_only_right_pixels(path: Path, dtype: str = "u2", shape: tuple[int, int] = SHAPE) -> list[int]:
    """Check all that a file says of each of its images; returns their ids."""
    with h5py.File(path) as file:
        ids = [int(image_id) for image_id in file[layout.IMAGE_ID]]
        assert file[layout.PIXELS].shape == (len(ids), *shape)
        for row, image_id in enumerate(ids):
            assert (file[layout.PIXELS][row] == pixels_of(image_id, shape, dtype)).all(), image_id
        assert file[layout.PULSE_ID][:].tolist() == [i + 1000 for i in ids]
        assert file[layout.MISSING_PACKETS][:].tolist() == [missing_packets_of(i) for i in ids]
    return ids


def verdict_of(path: Path) -> str:
    with h5py.File(path) as file:
        return str(file[layout.VERDICT].asstr()[()])


@pytest.mark.parametrize("compression", ["none", "bslz4", "bszstd"])
def test_runs_are_written_one_after_the_other(platform: Platform, tmp_path: Path, compression: str) -> None:
    platform.make_ring(n_slots=32)
    process = platform.start_writer()
    for run_id in (1, 2):
        path = tmp_path / f"{run_id}.h5"
        image_ids = range(100 * run_id, 100 * run_id + 60)
        platform.agent.start(path, run_id=run_id, compression=compression, n_images=60)
        for i, image_id in enumerate(image_ids):
            platform.agent.send(platform.publisher.publish(image_id), i, run_id=run_id)
            if i % 16 == 15:
                platform.agent.wait_for(ReportKind.PROGRESS)
        platform.agent.end(60, run_id=run_id)
        platform.agent.wait_for(ReportKind.DRAINED)
        platform.agent.finish(run_id=run_id)
        finished = platform.agent.wait_for(ReportKind.FINISHED)
        ids = assert_holds_only_right_pixels(path)
        assert sorted(ids + platform.agent.lost_image_ids) == list(image_ids)
        assert finished.n_written == finished.n_flushed == len(ids)
        assert [problem.text for problem in validate(path).problems if problem.severity == "error"] == []
        platform.agent.lost_image_ids.clear()
    process.terminate()
    assert process.wait(20) == 0


@pytest.mark.long
@pytest.mark.parametrize("compression", ["none", "bslz4"])
def test_images_that_are_overwritten_while_the_writer_is_stopped_are_lost_by_id(
    platform: Platform, tmp_path: Path, compression: str
) -> None:
    publisher = platform.make_ring(n_slots=8)
    process = platform.start_writer()
    path = tmp_path / "a.h5"
    platform.agent.start(path, compression=compression)
    platform.send_run(range(20))
    process.send_signal(signal.SIGSTOP)
    for i in range(20, 120):
        platform.agent.send(publisher.publish(i), i)
    process.send_signal(signal.SIGCONT)
    platform.end_run(120)
    ids = assert_holds_only_right_pixels(path)
    assert sorted(ids + platform.agent.lost_image_ids) == list(range(120))
    assert len(platform.agent.lost_image_ids) >= 80
    assert set(range(112, 120)) <= set(ids)
    with h5py.File(path) as file:
        assert file[layout.LOST_IMAGE_IDS][:].tolist() == sorted(platform.agent.lost_image_ids)


@pytest.mark.long
@pytest.mark.parametrize("compression", ["none", "bslz4"])
def test_a_ring_that_is_overwritten_all_the_time_gives_right_images_or_none(
    platform: Platform, tmp_path: Path, compression: str
) -> None:
    publisher = platform.make_ring(n_slots=4)
    platform.start_writer()
    path = tmp_path / "a.h5"
    platform.agent.start(path, compression=compression)
    n_images = 1500
    stop = threading.Event()

    def hammer() -> None:
        for i in range(n_images):
            platform.agent.send(publisher.publish(i), i)
            if i % 100 == 0:
                stop.wait(0.02)  # lets the writer catch up with the slots

    thread = threading.Thread(target=hammer)
    thread.start()
    thread.join()
    platform.end_run(n_images)
    ids = assert_holds_only_right_pixels(path)
    assert sorted(ids + platform.agent.lost_image_ids) == list(range(n_images))
    assert ids == sorted(ids)
    assert ids
    assert platform.agent.lost_image_ids


@pytest.mark.long
def test_a_stopped_process_falls_silent_and_a_running_one_never(platform: Platform) -> None:
    process = platform.start_writer()
    process.send_signal(signal.SIGSTOP)
    while platform.agent.receive(0.2) is not None:
        pass
    assert platform.agent.receive(1.2) is None
    process.send_signal(signal.SIGCONT)
    for _ in range(3):
        platform.agent.wait_for(ReportKind.ALIVE, timeout_s=1.0)


@pytest.mark.long
@pytest.mark.parametrize("compression", ["none", "bslz4"])
def test_a_killed_writers_file_is_whole_up_to_the_last_flush_after_recovery(
    platform: Platform, tmp_path: Path, compression: str
) -> None:
    platform.make_ring(n_slots=32)
    process = platform.start_writer()
    path = tmp_path / "a.h5"
    platform.agent.start(path, compression=compression)
    platform.send_run(range(50))
    while (report := platform.agent.wait_for(ReportKind.PROGRESS)).n_flushed < 20:
        pass
    platform.send_run(range(50, 60))
    process.kill()
    process.wait()
    [recovery] = recover(path)
    assert recovery.n_images >= report.n_flushed
    assert assert_holds_only_right_pixels(path) == list(range(recovery.n_images))
    assert verdict_of(path) == "failed"


@pytest.mark.long
def test_a_restarted_writer_has_a_new_name_and_leaves_the_old_run_aside(platform: Platform, tmp_path: Path) -> None:
    platform.make_ring()
    process = platform.start_writer()
    first = platform.agent.wait_for(ReportKind.ALIVE)
    platform.agent.start(tmp_path / "a.h5")
    platform.send_run(range(3))
    while platform.agent.wait_for(ReportKind.ALIVE).run_id is None:
        pass
    process.kill()
    process.wait()
    platform.start_writer()
    while (second := platform.agent.wait_for(ReportKind.ALIVE)).instance == first.instance:
        pass
    assert second.run_id is None
    platform.send_run(range(3, 6))
    platform.agent.start(tmp_path / "b.h5", run_id=42)
    platform.agent.send(platform.publisher.publish(7), 0, run_id=42)
    platform.agent.end(1, run_id=42)
    assert platform.agent.wait_for(ReportKind.DRAINED).n_written == 1


@pytest.mark.long
def test_sigterm_in_a_run_closes_the_file_as_failed_and_exits_with_0(platform: Platform, tmp_path: Path) -> None:
    platform.make_ring()
    process = platform.start_writer()
    path = tmp_path / "a.h5"
    platform.agent.start(path)
    platform.send_run(range(10))
    platform.agent.wait_for(ReportKind.PROGRESS)
    process.terminate()
    assert platform.agent.wait_for(ReportKind.FAILED).message == "the writer was stopped"
    assert process.wait(20) == 0
    assert assert_holds_only_right_pixels(path) == list(range(10))
    assert verdict_of(path) == "failed"


@pytest.mark.long
@pytest.mark.parametrize("compression", ["none", "bslz4"])
def test_a_full_disk_fails_the_run_and_the_next_one_is_written(
    platform: Platform, tmp_path: Path, compression: str
) -> None:
    # The metadata of a few images take a whole chunk of each column. The second file has room for them.
    n_bytes = 8_000_000 if compression == "none" else 800_000
    platform.make_ring(n_slots=32)
    limits = (n_bytes, resource.RLIM_INFINITY)
    platform.start_writer(before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limits))
    path = tmp_path / "a.h5"
    platform.agent.start(path, compression=compression)
    platform.agent.send(platform.publisher.publish(0), 0)
    n_images = 1
    while not any(report.kind is ReportKind.FAILED for report in platform.agent.reports):
        for _ in range(8):
            platform.agent.send(platform.publisher.publish(n_images), n_images)
            n_images += 1
        platform.agent.wait_for(ReportKind.PROGRESS)
    [failed] = [report for report in platform.agent.reports if report.kind is ReportKind.FAILED]
    assert failed.message.startswith(f"{path}: ")
    assert "File too large" in failed.message
    platform.end_run(n_images)
    finished = platform.agent.reports[-1]
    recover(path)
    ids = assert_holds_only_right_pixels(path)
    assert len(ids) >= failed.n_flushed
    assert len(ids) >= finished.n_written
    assert set(range(n_images)) - set(ids) <= set(platform.agent.lost_image_ids)
    platform.agent.start(tmp_path / "b.h5", run_id=42, compression=compression)
    for i in range(3):
        platform.agent.send(platform.publisher.publish(i), i, run_id=42)
    platform.agent.end(3, run_id=42)
    assert platform.agent.wait_for(ReportKind.DRAINED).n_written == 3


@pytest.mark.long
def test_two_writers_share_a_run_and_the_first_writes_the_master(
    make_platform: Callable[..., Platform], tmp_path: Path
) -> None:
    platform = make_platform(number_of_writers=2)
    publisher = platform.make_ring(n_slots=64)
    for writer in (0, 1):
        platform.start_writer(writer)
        platform.agent.start(tmp_path / "a.h5", writer=writer, images_per_file=4, n_images=42)
    for i in range(42):
        platform.agent.send(publisher.publish(i), i, writer=i // 4 % 2)
    files: dict[int, list[str]] = {}
    for writer, n_sent in ((0, 22), (1, 20)):
        platform.agent.end(n_sent, writer=writer)
        platform.agent.wait_for(ReportKind.DRAINED, writer=writer)
    for writer in (0, 1):
        platform.agent.finish(writer=writer)
        files[writer] = platform.agent.wait_for(ReportKind.FINISHED, writer=writer).files
    data_files = sorted(files[0] + files[1])
    assert data_files == [str(layout.data_file_path(tmp_path / "a.h5", number)) for number in range(1, 12)]
    platform.agent.master(tmp_path / "a.h5", data_files)
    platform.agent.wait_for(ReportKind.MASTER_WRITTEN)
    assert assert_holds_only_right_pixels(tmp_path / "a.h5") == list(range(42))
    problems = validate(tmp_path / "a.h5").problems
    assert [problem.text for problem in problems if problem.severity == "error"] == []


@pytest.mark.long
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")
def test_files_and_folders_belong_to_the_writer_user(make_platform: Callable[..., Platform], runtime: Path) -> None:
    platform = make_platform(writer_user_id=12345)
    platform.make_ring()
    platform.start_writer()
    runtime.chmod(0o755)  # pytest's own folders cannot be reached by other users
    theirs = runtime / "theirs"
    theirs.mkdir()
    os.chown(theirs, 12345, -1)
    path = theirs / "new" / "a.h5"
    platform.agent.start(path, images_per_file=2)
    platform.send_run(range(5))
    files = platform.end_run(5)
    platform.agent.master(path, files)
    platform.agent.wait_for(ReportKind.MASTER_WRITTEN)
    made = [path.parent, path, *map(Path, files)]
    assert [(item.stat().st_uid, item.stat().st_gid) for item in made] == [(12345, 12345)] * 5
    platform.agent.start(runtime / "roots.h5", run_id=42)
    platform.agent.send(platform.publisher.publish(1), 0, run_id=42)
    assert "Permission denied" in platform.agent.wait_for(ReportKind.FAILED).message


@pytest.mark.long
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")
def test_files_belong_to_the_user_of_each_request(make_platform: Callable[..., Platform], runtime: Path) -> None:
    platform = make_platform(writer={"users": [12345, 12346]})
    platform.make_ring()
    platform.start_writer()
    runtime.chmod(0o755)
    for run_id, user in ((1, 12345), (2, 12346)):
        theirs = runtime / f"of_{user}"
        theirs.mkdir()
        os.chown(theirs, user, -1)
        path = theirs / "new" / "a.h5"
        platform.agent.start(path, images_per_file=2, run_id=run_id, user_id=user)
        for i in range(3):
            platform.agent.send(platform.publisher.publish(i), i, run_id=run_id)
        platform.agent.end(3, run_id=run_id)
        platform.agent.wait_for(ReportKind.DRAINED)
        platform.agent.finish(run_id=run_id)
        files = platform.agent.wait_for(ReportKind.FINISHED).files
        platform.agent.master(path, files, run_id=run_id, user_id=user)
        platform.agent.wait_for(ReportKind.MASTER_WRITTEN)
        made = [path.parent, path, *map(Path, files)]
        assert [(item.stat().st_uid, item.stat().st_gid) for item in made] == [(user, user)] * 4
    platform.agent.start(runtime / "of_12345" / "b.h5", run_id=3, user_id=12346)
    platform.agent.send(platform.publisher.publish(1), 0, run_id=3)
    assert "Permission denied" in platform.agent.wait_for(ReportKind.FAILED).message


@pytest.mark.long
def test_memory_does_not_grow_with_the_number_of_images(platform: Platform, tmp_path: Path) -> None:
    publisher = platform.make_ring(n_slots=8)
    process = platform.start_writer()
    platform.agent.start(tmp_path / "a.h5", compression="bslz4")
    resident = []
    for part in range(4):
        for i in range(part * 1500, (part + 1) * 1500):
            platform.agent.send(publisher.publish(i), i)
        deadline = time.monotonic() + 20
        while platform.agent.wait_for(ReportKind.PROGRESS).n_written + len(platform.agent.lost_image_ids) < i + 1:
            assert time.monotonic() < deadline
        resident.append(psutil.Process(process.pid).memory_info().rss)
    assert resident[-1] - resident[1] < 8e6


def test_a_writer_that_the_configuration_does_not_have_is_refused(platform: Platform) -> None:
    command = [sys.executable, "-m", "std_h5_writer", "--config", platform.config_file, "--writer", "1"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 2
    assert "there is no writer 1" in result.stderr
