"""A cluster of three real RabbitMQ nodes, of which one after the other is killed."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from std_daq.amqp.address import BrokerAddress
from std_daq.amqp.connection import BrokerConnection
from std_daq.amqp.topology import WriterQueues
from std_daq.recording.request_channel import ReceivedRequest, RequestConsumer, RequestPublisher
from std_daq.recording.requests import Action, StatusMessage, WriteRequest
from std_daq.recording.status_channel import StatusListener, StatusPublisher
from std_test_kit.broker_cluster import BrokerCluster

LIMIT_S = 60.0
# Within this time RabbitMQ 3.10 may forget a quorum queue that was declared: decision 17.
SETTLE_S = 2.0
REQUEST_OF_TEN = WriteRequest(output_file="/data/run.h5", n_images=10)


def place_of(connection: BrokerConnection) -> str:
    connection.wait_connected(LIMIT_S)
    assert connection.connected_to is not None
    return connection.connected_to


@contextmanager
def listener_at(place: str, address: BrokerAddress) -> Iterator[StatusListener]:
    """Yield a listener that is connected to a certain node, which is a matter of chance."""
    for _ in range(100):
        with StatusListener(address, queue_type="quorum", name="client") as listener:
            if place_of(listener.connection) == place:
                yield listener
                return
    raise AssertionError(f"no listener came to {place}")


def take(consumer: RequestConsumer, expected: set[str]) -> None:
    """Take requests until all that are expected have come, and accept them."""
    left, deadline = set(expected), time.monotonic() + LIMIT_S
    while left and time.monotonic() < deadline:
        received = consumer.poll(1.0)
        if isinstance(received, ReceivedRequest):
            left.discard(received.request_id)
            consumer.accept(received)
    assert not left


def hear(listener: StatusListener, expected: set[str]) -> None:
    left, deadline = set(expected), time.monotonic() + LIMIT_S
    while left and time.monotonic() < deadline:
        status = listener.receive(1.0)
        if status is not None:
            left.discard(status.request_id)
    assert not left


@pytest.mark.long
@pytest.mark.timeout(600)
def test_agent_and_client_go_on_and_nothing_confirmed_is_lost_when_their_nodes_are_killed(tag: str) -> None:
    with BrokerCluster() as cluster:
        address = BrokerAddress.parse(cluster.urls)
        with (
            BrokerConnection(address, WriterQueues(tag, "quorum"), name="agent") as agent,
            listener_at(place_of(agent), address) as client,
        ):
            publisher, consumer = RequestPublisher(client.connection, tag), RequestConsumer(agent, tag)
            statuses = StatusPublisher(agent)
            # The first node is that of both, and the leader of the queues.
            for whose in (agent, client.connection, agent):
                time.sleep(SETTLE_S)
                node = cluster.node_of(place_of(whose))
                confirmed = {publisher.publish(REQUEST_OF_TEN, timeout_s=LIMIT_S) for _ in range(10)}
                node.halt()
                confirmed |= {publisher.publish(REQUEST_OF_TEN, timeout_s=LIMIT_S) for _ in range(10)}
                take(consumer, confirmed)
                for request_id in confirmed:
                    statuses.publish(StatusMessage(request_id=request_id, action=Action.START, source=tag))
                hear(client, confirmed)
                node.start()
