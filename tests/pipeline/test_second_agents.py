"""Two agents of one tag: one of them takes all requests and kills, and the other says that it is there."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from std_daq.amqp.connection import BrokerConnection
from std_daq.amqp.topology import NothingOwned, QueueType, WriterQueues
from std_daq.errors import BrokerError
from std_daq.recording.request_channel import ReceivedKill, RequestConsumer, RequestPublisher
from std_daq.recording.requests import WriteRequest
from std_test_kit.wait import wait_until

pytestmark = pytest.mark.timeout(90)
LIMIT_S = 30.0
REQUEST = WriteRequest(output_file="/data/run.h5", n_images=10)
AGENT = """
import sys, threading
from std_daq.amqp.connection import BrokerConnection
from std_daq.amqp.topology import WriterQueues
with BrokerConnection(sys.argv[1], WriterQueues(sys.argv[2])) as agent:
    agent.wait_connected(30)
    print("connected", flush=True)
    threading.Event().wait()
"""


def says_that_it_is_taken(agent: BrokerConnection) -> bool:
    return "another writer agent with the tag" in (agent.why_away or "")


@pytest.mark.long
@pytest.mark.parametrize("queue_type", ["classic", "quorum"])
def test_second_agent_gets_no_request_and_no_kill_and_takes_over_when_the_first_has_gone(
    broker_url: str, tag: str, queue_type: QueueType
) -> None:
    with (
        BrokerConnection(broker_url, WriterQueues(tag, queue_type)) as first,
        BrokerConnection(broker_url, NothingOwned()) as client,
    ):
        first.wait_connected(LIMIT_S)
        publisher = RequestPublisher(client, tag)
        with BrokerConnection(broker_url, WriterQueues(tag, queue_type)) as second:
            wait_until(lambda: says_that_it_is_taken(second), LIMIT_S)
            sent = [publisher.publish(REQUEST, timeout_s=LIMIT_S) for _ in range(6)]
            for request_id in sent:
                publisher.kill(request_id)
            consumer = RequestConsumer(first, tag)
            taken: list[object] = []

            def take() -> bool:
                received = consumer.poll()
                if received is not None:
                    taken.append(received)
                    consumer.accept(received)
                return len(taken) == 2 * len(sent)

            wait_until(take, LIMIT_S)
            assert sum(isinstance(one, ReceivedKill) for one in taken) == len(sent)
            assert not second.is_connected
            first.close()
            second.wait_connected(LIMIT_S)


@contextmanager
def agent_process(broker_url: str, tag: str) -> "Iterator[subprocess.Popen[str]]":
    with subprocess.Popen([sys.executable, "-c", AGENT, broker_url, tag], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "connected\n"
            yield process
        finally:
            process.kill()


@pytest.mark.long
def test_agent_is_replaced_at_once_after_it_was_killed(broker_url: str, tag: str) -> None:
    with agent_process(broker_url, tag) as process:
        with BrokerConnection(broker_url, WriterQueues(tag)) as second, pytest.raises(BrokerError):
            second.wait_connected(1.0)
        process.kill()
        process.wait()
        with agent_process(broker_url, tag):
            pass


def test_of_many_that_start_together_one_is_connected(broker_url: str, tag: str) -> None:
    agents = [BrokerConnection(broker_url, WriterQueues(tag)) for _ in range(5)]
    starts = [threading.Thread(target=agent.start) for agent in agents]
    try:
        for start in starts:
            start.start()
        wait_until(lambda: sum(map(says_that_it_is_taken, agents)) == len(agents) - 1, LIMIT_S)
        wait_until(lambda: sum(agent.is_connected for agent in agents) == 1, LIMIT_S)
    finally:
        for start in starts:
            start.join()
        for agent in agents:
            agent.close()
