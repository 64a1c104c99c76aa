"""What becomes of runs and requests while the writer agent or the broker is away."""

import random
import signal
from pathlib import Path

import pytest

from std_daq.rabbitmq.throwaway import ThrowawayBroker
from std_daq.recording.requests import Action, Verdict
from std_test_kit.agent import AgentProcess, AgentThread, Client, MakeRing, make_config, publish
from std_test_kit.store_writer import FakeStoreWriter, StoreWriterThread
from std_test_kit.wait import wait_until


def test_stopped_agent_ends_its_run_and_keeps_what_waits(
    broker_url: str, tag: str, shm_dir: Path, ring_of: MakeRing, tmp_path: Path
) -> None:
    config = make_config(shm_dir, tag, max_queued_requests=1)
    ring = ring_of(config)
    with Client(broker_url, tag) as client, StoreWriterThread(config, FakeStoreWriter()):
        with AgentThread(config, broker_url):
            first = client.write(tmp_path / "1.h5", n_images=5)
            second = client.write(tmp_path / "2.h5", n_images=5)
            client.wait_for(second, Action.ACCEPTED)
            publish(ring, range(2))
            client.wait_for(first, Action.START)
        end = client.wait_for_end(first)
        assert end.report is not None
        assert (end.report.verdict, end.report.n_written) == (Verdict.FAILED, 2)
        assert "the writer agent was stopped" in end.report.reason
        assert client.ends(second) == []
        with AgentThread(config, broker_url):
            client.wait_until(second, lambda status: "waiting" in status.message)
            publish(ring, range(2, 7))
            assert client.wait_for_end(second).action is Action.SUCCESS


def test_run_that_waits_for_its_first_image_outlives_a_stop(
    broker_url: str, tag: str, shm_dir: Path, ring_of: MakeRing, tmp_path: Path
) -> None:
    config = make_config(shm_dir, tag)
    ring = ring_of(config)
    with Client(broker_url, tag) as client, StoreWriterThread(config, FakeStoreWriter()):
        with AgentThread(config, broker_url):
            request_id = client.write(tmp_path / "run.h5", n_images=3)
            client.wait_until(request_id, lambda status: "waiting" in status.message)
        client.heard.clear()
        with AgentThread(config, broker_url):
            client.wait_until(request_id, lambda status: "waiting" in status.message)
            publish(ring, range(3))
            assert client.wait_for_end(request_id).action is Action.SUCCESS


@pytest.mark.long
def test_broker_that_is_away_in_a_run_disturbs_nothing(
    tag: str, shm_dir: Path, ring_of: MakeRing, tmp_path: Path
) -> None:
    config = make_config(shm_dir, tag)
    ring = ring_of(config)
    writer = FakeStoreWriter()
    with (
        ThrowawayBroker() as broker,
        StoreWriterThread(config, writer),
        AgentThread(config, broker.url) as agent,
        Client(broker.url, tag) as client,
    ):
        request_id = client.write(tmp_path / "run.h5", n_images=20)
        client.wait_until(request_id, lambda status: "waiting" in status.message)
        publish(ring, range(5))
        client.wait_for(request_id, Action.START)
        broker.halt()
        publish(ring, range(5, 12), pause_s=0.05)
        assert agent.agent is not None
        assert agent.agent.is_ready, "an orchestrator has no reason to end it"
        publish(ring, range(12, 20), pause_s=0.05)
        wait_until(lambda: any(report.n_written == 20 for report in writer.reports), 20.0)
        broker.start()
        end = client.wait_for_end(request_id, timeout_s=40)
        assert end.action is Action.SUCCESS
        assert client.ends(request_id) == [end]


@pytest.mark.long
def test_agent_that_starts_before_its_broker_is_ready_with_it(
    tag: str, shm_dir: Path, ring_of: MakeRing, tmp_path: Path
) -> None:
    config = make_config(shm_dir, tag)
    publish(ring_of(config), range(5))
    broker = ThrowawayBroker()
    try:
        with (
            AgentThread(config, broker.url, has_broker=False) as agent,
            StoreWriterThread(config, FakeStoreWriter()),
        ):
            assert agent.agent is not None
            assert "no connection to the broker" in (agent.agent.why_not_ready or "")
            assert not agent.agent.is_ready
            broker.start()
            assert agent.is_ready.wait(20)
            with Client(broker.url, tag) as client:
                request_id = client.write(tmp_path / "run.h5", n_images=3, start_image_id=0)
                assert client.wait_for_end(request_id).action is Action.SUCCESS
    finally:
        broker.close()


@pytest.mark.long
def test_agent_killed_in_a_run_closes_it_and_one_killed_before_the_first_image_goes_on(
    broker_url: str, tag: str, shm_dir: Path, ring_of: MakeRing, tmp_path: Path
) -> None:
    config = make_config(shm_dir, tag)
    ring = ring_of(config)
    writer = FakeStoreWriter()
    with AgentThread(config, broker_url):
        pass  # the queue is declared now
    with (
        Client(broker_url, tag) as client,
        StoreWriterThread(config, writer),
        AgentProcess(config, broker_url, tmp_path) as agent,
    ):
        request_id = client.write(tmp_path / "run.h5", n_images=10)
        client.wait_until(request_id, lambda status: "waiting" in status.message)
        agent.kill()
        client.heard.clear()
        agent.start()
        client.wait_until(request_id, lambda status: "waiting" in status.message)
        publish(ring, range(4))
        client.wait_until(request_id, lambda status: status.details.get("n_written") == 4)
        agent.kill()
        agent.start()
        end = client.wait_for_end(request_id)
        assert end.report is not None
        assert (end.report.verdict, end.report.n_written) == (Verdict.FAILED, 4)
        assert "writer agent was restarted during the run" in end.report.reason
        assert len(client.ends(request_id)) == 1
        assert writer.reports[-1].verdict is Verdict.FAILED
        assert agent.kill(signal.SIGTERM) == 0


@pytest.mark.long
def test_requests_through_random_kills_end_once_and_are_never_written_twice(
    broker_url: str, tag: str, shm_dir: Path, ring_of: MakeRing, tmp_path: Path
) -> None:
    config = make_config(shm_dir, tag, max_queued_requests=100)
    ring = ring_of(config)
    publish(ring, range(60))
    writer = FakeStoreWriter()
    with AgentThread(config, broker_url):
        pass  # the queue is declared now
    with (
        Client(broker_url, tag) as client,
        StoreWriterThread(config, writer),
        AgentProcess(config, broker_url, tmp_path) as agent,
    ):
        ids = [client.write(tmp_path / f"{index}.h5", n_images=20, start_image_id=5) for index in range(30)]
        chance = random.Random(1)
        for _ in range(4):
            n_heard = sum(map(len, client.heard.values())) + chance.randrange(1, 25)
            while sum(map(len, client.heard.values())) < n_heard:
                client.hear(0.1)
            agent.kill()
            agent.start()
        for request_id in ids:
            end = client.wait_for_end(request_id, timeout_s=60)
            assert end.report is not None
            assert end.report.verdict in {Verdict.COMPLETE, Verdict.FAILED}
        # An end whose confirmation died with the agent is told once more, but it is the same.
        assert all(len({status.message for status in client.ends(request_id, 0)}) == 1 for request_id in ids)
    written = [start.request_id for start in writer.runs.values()]
    assert len(written) == len(set(written))
