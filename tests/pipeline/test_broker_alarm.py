"""What is heard, told and carried out while a real RabbitMQ takes no messages, because an alarm is on."""

import time
from collections.abc import Iterator

import pytest

from std_daq.amqp.connection import BrokerConnection
from std_daq.amqp.topology import KILL, NothingOwned, WriterQueues
from std_daq.errors import BrokerBlockedError, BrokerError
from std_daq.rabbitmq.throwaway import ThrowawayBroker
from std_daq.recording.request_channel import ReceivedKill, RequestConsumer, RequestPublisher
from std_daq.recording.requests import Action, StatusMessage, WriteRequest, new_request_id
from std_daq.recording.status_channel import StatusListener, StatusPublisher
from std_test_kit.broker_alarm import Parcels, alarm
from std_test_kit.exchanges import declare_exchanges
from std_test_kit.wait import wait_until

LIMIT_S = 20.0
REQUEST = WriteRequest(output_file="/data/run.h5", n_images=10)

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def node() -> Iterator[ThrowawayBroker]:
    with ThrowawayBroker() as broker:
        declare_exchanges(broker.url)
        yield broker


@pytest.fixture
def agent(node: ThrowawayBroker, tag: str) -> Iterator[BrokerConnection]:
    with BrokerConnection(node.url, WriterQueues(tag), name="agent", publishes=True) as connection:
        connection.wait_connected(LIMIT_S)
        yield connection


@pytest.fixture
def client(node: ThrowawayBroker, agent: BrokerConnection) -> Iterator[StatusListener]:
    with StatusListener(node.url, name="client") as listener:
        listener.connection.wait_connected(LIMIT_S)
        yield listener


def status_of(request_id: str, source: str) -> StatusMessage:
    return StatusMessage(request_id=request_id, action=Action.START, source=source)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_alarm_is_known_to_a_connection_that_has_nothing_to_say(
    node: ThrowawayBroker, agent: BrokerConnection, kind: str
) -> None:
    assert agent.why_blocked is None
    with alarm(node, kind):
        wait_until(lambda: agent.why_blocked is not None, LIMIT_S)
        assert f"blocks publishers: {kind} alarm (low on {kind})" in str(agent.why_blocked)
        assert agent.is_connected
    wait_until(lambda: agent.why_blocked is None, LIMIT_S)


@pytest.mark.long
def test_kill_is_heard_during_an_alarm_and_reports_wait_for_its_end(
    node: ThrowawayBroker, agent: BrokerConnection, client: StatusListener, tag: str
) -> None:
    consumer, statuses = RequestConsumer(agent, tag), StatusPublisher(agent)
    ids = [new_request_id() for _ in range(20)]  # more than may wait for their acknowledgement: these pass as well
    with Parcels(node.url, KILL, tag) as kills:
        for request_id in ids:
            kills.prepare(request_id)
        with alarm(node):
            wait_until(lambda: agent.why_blocked is not None, LIMIT_S)
            waiting = [statuses.publish(status_of(request_id, tag)) for request_id in ids]
            for request_id in ids:
                kills.let_go()
                received = consumer.poll(LIMIT_S)
                assert isinstance(received, ReceivedKill)
                assert received.request_id == request_id
                consumer.accept(received)
            assert not any(confirmation.done() for confirmation in waiting)
            assert client.receive() is None
    for confirmation in waiting:
        confirmation.result(LIMIT_S)
    heard = [client.receive(LIMIT_S) for _ in waiting]
    assert [status and status.request_id for status in heard] == ids


@pytest.mark.long
def test_request_and_kill_are_refused_at_once_and_not_carried_out_later(
    node: ThrowawayBroker, agent: BrokerConnection, client: StatusListener, tag: str
) -> None:
    consumer, publisher = RequestConsumer(agent, tag), RequestPublisher(client.connection, tag)
    with alarm(node):
        for _ in range(2):  # the first finds out, the second knows
            began = time.monotonic()
            with pytest.raises(
                BrokerBlockedError, match=r"blocks publishers: memory alarm .* the message was not sent"
            ):
                publisher.publish(REQUEST)
            assert time.monotonic() - began < 5.0
        with pytest.raises(BrokerBlockedError, match="was not sent"):
            publisher.kill(new_request_id())
    wait_until(lambda: client.connection.why_blocked is None, LIMIT_S)
    sent = publisher.publish(REQUEST)
    received = consumer.poll(LIMIT_S)
    assert received is not None
    assert received.request_id == sent
    assert consumer.poll(0.5) is None


@pytest.mark.long
def test_request_that_was_on_its_way_says_that_it_may_be_carried_out(
    node: ThrowawayBroker, agent: BrokerConnection, client: StatusListener, tag: str
) -> None:
    publisher = RequestPublisher(client.connection, tag)
    publisher.kill(new_request_id())
    with alarm(node):
        while client.connection.why_blocked is None:  # before the probe has found out
            with pytest.raises(BrokerError, match=r"was not sent|may have been sent and may be carried out"):
                publisher.kill(new_request_id())


@pytest.mark.long
def test_connection_opened_during_an_alarm_is_there_and_closes_at_once(node: ThrowawayBroker) -> None:
    with alarm(node):
        connection = BrokerConnection(node.url, NothingOwned())
        with connection:
            connection.wait_connected(LIMIT_S)
            assert connection.why_blocked
            confirmation = StatusPublisher(connection).publish(status_of("r", "s"))
            began = time.monotonic()
        assert time.monotonic() - began < 3.0
        with pytest.raises(BrokerError, match="not confirmed"):
            confirmation.result(0)


@pytest.mark.long
def test_alarm_may_come_and_go_many_times(
    node: ThrowawayBroker, agent: BrokerConnection, client: StatusListener, tag: str
) -> None:
    statuses = StatusPublisher(agent)
    for n in range(4):
        with alarm(node):
            wait_until(lambda: agent.why_blocked is not None, LIMIT_S)
            confirmation = statuses.publish(status_of(str(n), tag))
        confirmation.result(LIMIT_S)
        status = client.receive(LIMIT_S)
        assert status is not None
        assert status.request_id == str(n)
