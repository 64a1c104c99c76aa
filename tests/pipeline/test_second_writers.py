"""A second h5_writer of one number changes nothing, and one that was given up writes nothing more."""

import hashlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from std_daq.client.scrape import scrape
from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.config.paths import image_buffer_path
from std_daq.recording.requests import Verdict
from std_daq.service.record import read_records
from std_test_kit.agent import AgentThread, Client, make_config, publish
from std_test_kit.store_driver import RingPublisher
from std_test_kit.wait import wait_until

pytestmark = pytest.mark.timeout(90)
LIMIT_S = 30.0


@pytest.fixture
def config(shm_dir: Path, tag: str, runtime: Path) -> DetectorConfig:
    return make_config(shm_dir, tag, flush_interval_s=0.1)


@pytest.fixture
def ring(config: DetectorConfig) -> Iterator[RingPublisher]:
    shape = config.image_pixel_height, config.image_pixel_width
    publisher = RingPublisher(image_buffer_path(config), shape=shape, n_slots=16)
    yield publisher
    publisher.close()


def command(config: DetectorConfig, folder: Path) -> list[str]:
    file = folder / "detector.json"
    file.write_text(config.model_dump_json(exclude_unset=True, by_alias=True))
    return [sys.executable, "-m", "std_h5_writer", "--config", str(file), "--writer", "0"]


def is_ready(config: DetectorConfig, process: "subprocess.Popen[bytes]") -> bool:
    own = (record for record in read_records(config) if record.pid == process.pid)
    return any(scrape(record.socket).is_ready for record in own)


@contextmanager
def writer_process(config: DetectorConfig, folder: Path) -> "Iterator[subprocess.Popen[bytes]]":
    with subprocess.Popen(command(config, folder), stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: is_ready(config, process), LIMIT_S)
            yield process
        finally:
            process.send_signal(signal.SIGCONT)
            process.terminate()


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


@pytest.mark.long
def test_writer_that_comes_back_after_it_was_given_up_changes_no_file_and_its_successor_writes(
    broker_url: str, config: DetectorConfig, ring: RingPublisher, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    with Client(broker_url, config.tag) as client, AgentThread(config, broker_url):
        with writer_process(config, tmp_path) as writer:
            stopped = client.write(data / "stopped.h5", n_images=6, image_timeout_s=60)
            client.wait_until(stopped, lambda status: "waiting" in status.message)
            publish(ring, range(3))
            client.wait_until(stopped, lambda status: status.details.get("n_written") == 3)
            writer.send_signal(signal.SIGSTOP)
            publish(ring, range(3, 6))  # they wait for the writer, and so does the end of the run
            end = client.wait_for_end(stopped)
            assert end.report is not None
            assert (end.report.verdict, end.report.n_written) == (Verdict.FAILED, 3)
            assert set(end.report.lost_image_ids) == {3, 4, 5}
            before = digests(data)
            writer.send_signal(signal.SIGCONT)
            assert writer.wait(LIMIT_S) == 1
            assert digests(data) == before
        with writer_process(config, tmp_path):
            after = client.write(data / "after.h5", n_images=2)
            client.wait_until(after, lambda status: "waiting" in status.message)
            publish(ring, range(6, 8))
            end = client.wait_for_end(after)
            assert end.report is not None
            assert (end.report.n_written, end.report.n_lost) == (2, 0), end.message
        assert digests(data)["stopped.h5"] == before["stopped.h5"]


@pytest.mark.long
def test_second_writer_of_one_number_says_who_is_there_and_the_run_goes_on(
    broker_url: str, config: DetectorConfig, ring: RingPublisher, tmp_path: Path
) -> None:
    with (
        Client(broker_url, config.tag) as client,
        AgentThread(config, broker_url),
        writer_process(config, tmp_path) as writer,
    ):
        run = client.write(tmp_path / "run.h5", n_images=6, image_timeout_s=60)
        client.wait_until(run, lambda status: "waiting" in status.message)
        publish(ring, range(3))
        second = subprocess.run(command(config, tmp_path), capture_output=True, text=True, timeout=LIMIT_S, check=False)
        assert second.returncode == 1
        assert f"h5-writer-0 already runs as process {writer.pid} on" in second.stderr
        publish(ring, range(3, 6))
        end = client.wait_for_end(run)
        assert end.report is not None
        assert (end.report.n_written, end.report.n_lost) == (6, 0), end.message
