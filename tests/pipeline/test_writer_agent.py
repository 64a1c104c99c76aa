"""Runs with a real broker, ring and sockets; the writers follow the StoreStream but write nothing."""

from pathlib import Path

import pytest

from std_daq.recording.requests import Action, Verdict
from std_test_kit.agent import AgentThread, Client, MakeRing, make_config, publish
from std_test_kit.store_writer import FakeStoreWriter, StoreWriterThread


def test_run_goes_from_request_to_success(
    broker_url: str, tag: str, shm_dir: Path, ring_of: MakeRing, tmp_path: Path
) -> None:
    config = make_config(shm_dir, tag)
    ring = ring_of(config)
    publish(ring, range(5))
    writer = FakeStoreWriter()
    with Client(broker_url, tag) as client, StoreWriterThread(config, writer), AgentThread(config, broker_url):
        request_id = client.write(tmp_path / "run.h5", n_images=10)
        client.wait_until(request_id, lambda status: "waiting for the first image" in status.message)
        publish(ring, range(5, 20))
        end = client.wait_for_end(request_id)
        assert len(client.ends(request_id)) == 1
        actions = [status.action for status in client.heard[request_id]]
    assert actions == [Action.ACCEPTED, Action.PROGRESS, Action.START, Action.SUCCESS]
    assert end.report is not None
    assert end.report.verdict is Verdict.COMPLETE
    assert end.report.files == (str(tmp_path / "run.h5"),)
    assert [ids for run in writer.written.values() for ids in run.values()] == [list(range(5, 15))]
    assert not (tmp_path / "run.h5").exists()


def test_run_in_several_files_by_two_writers(
    broker_url: str, tag: str, shm_dir: Path, ring_of: MakeRing, tmp_path: Path
) -> None:
    config = make_config(shm_dir, tag, number_of_writers=2)
    ring = ring_of(config)
    first, second = FakeStoreWriter(0), FakeStoreWriter(1)
    with (
        Client(broker_url, tag) as client,
        StoreWriterThread(config, first),
        StoreWriterThread(config, second),
        AgentThread(config, broker_url),
    ):
        request_id = client.write(tmp_path / "run.h5", n_images=10, n_files=4)
        client.wait_until(request_id, lambda status: "waiting" in status.message)
        publish(ring, [*range(4), *range(6, 20)])
        end = client.wait_for_end(request_id)
    assert end.report is not None
    assert end.report.verdict is Verdict.INCOMPLETE
    assert end.report.lost_image_ids == (4, 5)
    assert [end.report.n_written, len(end.report.files)] == [8, 4]
    assert end.report.files[0] == str(tmp_path / "run.h5")


def test_run_begins_at_an_image_in_the_past(
    broker_url: str, tag: str, shm_dir: Path, ring_of: MakeRing, tmp_path: Path
) -> None:
    config = make_config(shm_dir, tag)
    ring = ring_of(config, n_slots=16)
    publish(ring, range(100, 140))
    writer = FakeStoreWriter()
    with Client(broker_url, tag) as client, StoreWriterThread(config, writer), AgentThread(config, broker_url):
        gone = client.write(tmp_path / "gone.h5", n_images=5, start_image_id=110)
        assert "image 110 is no longer in the ring; the oldest image there is 124" in client.wait_for_end(gone).message
        past = client.write(tmp_path / "past.h5", n_images=5, start_image_id=130)
        assert client.wait_for_end(past).action is Action.SUCCESS
        future = client.write(tmp_path / "future.h5", n_images=3, start_image_id=142)
        client.wait_until(future, lambda status: "waiting for image 142" in status.message)
        publish(ring, range(140, 150))
        assert client.wait_for_end(future).action is Action.SUCCESS
    assert [ids for run in writer.written.values() for ids in run.values()] == [list(range(130, 135)), [142, 143, 144]]


def test_request_may_come_before_the_ring_and_gets_its_first_image(
    broker_url: str, tag: str, shm_dir: Path, ring_of: MakeRing, tmp_path: Path
) -> None:
    config = make_config(shm_dir, tag)
    writer = FakeStoreWriter()
    with Client(broker_url, tag) as client, StoreWriterThread(config, writer), AgentThread(config, broker_url):
        request_id = client.write(tmp_path / "run.h5", n_images=3)
        client.wait_until(request_id, lambda status: "no ImageBuffer yet" in status.message)
        publish(ring_of(config), range(3))
        assert client.wait_for_end(request_id).action is Action.SUCCESS


def test_queued_run_goes_on_where_the_one_before_it_ended(
    broker_url: str, tag: str, shm_dir: Path, ring_of: MakeRing, tmp_path: Path
) -> None:
    config = make_config(shm_dir, tag, max_queued_requests=2)
    ring = ring_of(config)
    writer = FakeStoreWriter()
    with Client(broker_url, tag) as client, StoreWriterThread(config, writer), AgentThread(config, broker_url):
        first = client.write(tmp_path / "1.h5", n_images=5)
        second = client.write(tmp_path / "2.h5", n_images=5)
        third = client.write(tmp_path / "3.h5", n_images=5)
        fourth = client.write(tmp_path / "4.h5", n_images=5)
        assert "the writer is busy" in client.wait_for_end(fourth).message
        client.kill(third)
        assert client.wait_for_end(third).action is Action.KILLED
        publish(ring, range(20))
        assert client.wait_for_end(first).action is Action.SUCCESS
        assert client.wait_for_end(second).action is Action.SUCCESS
    assert [ids for run in writer.written.values() for ids in run.values()] == [list(range(5)), list(range(5, 10))]


def test_kill_drains(broker_url: str, tag: str, shm_dir: Path, ring_of: MakeRing, tmp_path: Path) -> None:
    config = make_config(shm_dir, tag)
    ring = ring_of(config)
    with (
        Client(broker_url, tag) as client,
        StoreWriterThread(config, FakeStoreWriter()),
        AgentThread(config, broker_url),
    ):
        request_id = client.write(tmp_path / "run.h5")
        client.wait_until(request_id, lambda status: "waiting" in status.message)
        publish(ring, range(7))
        client.wait_for(request_id, Action.START)
        client.kill(request_id)
        end = client.wait_for_end(request_id)
    assert end.action is Action.KILLED
    assert end.report is not None
    assert end.report.n_written == 7


@pytest.mark.long
def test_paused_writer_goes_on_and_a_dead_one_ends_the_run(
    broker_url: str, tag: str, shm_dir: Path, ring_of: MakeRing, tmp_path: Path
) -> None:
    config = make_config(shm_dir, tag)
    ring = ring_of(config)
    with (
        Client(broker_url, tag) as client,
        StoreWriterThread(config, FakeStoreWriter(overwritten={4, 5})) as writer,
        AgentThread(config, broker_url),
    ):
        paused = client.write(tmp_path / "paused.h5", n_images=10)
        client.wait_until(paused, lambda status: "waiting" in status.message)
        writer.is_paused.set()
        publish(ring, range(10))
        client.wait_for(paused, Action.PROGRESS)
        writer.is_paused.clear()
        end = client.wait_for_end(paused)
        assert end.report is not None
        assert (end.report.verdict, end.report.lost_image_ids) == (Verdict.INCOMPLETE, (4, 5))
        dead = client.write(tmp_path / "dead.h5", n_images=10, image_timeout_s=60)
        client.wait_until(dead, lambda status: "waiting" in status.message)
        writer.is_paused.set()
        publish(ring, range(10, 12))
        end = client.wait_for_end(dead)
        assert end.report is not None
        assert (end.report.verdict, end.report.lost_image_ids) == (Verdict.FAILED, (10, 11))
        assert "h5_writer 0 reported nothing for 3 s" in end.report.reason
        assert "std-daq recover" in end.report.reason


@pytest.mark.long
def test_killed_writer_that_comes_back_ends_the_run_and_takes_the_next(
    broker_url: str, tag: str, shm_dir: Path, ring_of: MakeRing, tmp_path: Path
) -> None:
    config = make_config(shm_dir, tag)
    ring = ring_of(config)
    with Client(broker_url, tag) as client, AgentThread(config, broker_url):
        with StoreWriterThread(config, FakeStoreWriter()):
            request_id = client.write(tmp_path / "run.h5", n_images=10)
            client.wait_until(request_id, lambda status: "waiting" in status.message)
            publish(ring, range(3))
            client.wait_until(request_id, lambda status: status.details.get("n_written") == 3)
        with StoreWriterThread(config, FakeStoreWriter()):
            end = client.wait_for_end(request_id)
            assert end.report is not None
            assert (end.report.verdict, end.report.n_written) == (Verdict.FAILED, 3)
            assert "h5_writer 0 was restarted during the run" in end.report.reason
            again = client.write(tmp_path / "again.h5", n_images=2)
            client.wait_until(again, lambda status: "waiting" in status.message)
            publish(ring, range(3, 9))
            assert client.wait_for_end(again).action is Action.SUCCESS
