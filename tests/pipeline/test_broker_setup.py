"""A real RabbitMQ with the definitions of ``std-daq broker-setup``: each role can do its work, and nothing else."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pika
import pika.exceptions
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from std_daq.amqp.connection import BrokerConnection
from std_daq.amqp.topology import LISTENER_PREFIX, NothingOwned, WriterQueues
from std_daq.errors import BrokerError
from std_daq.recording.measured_values import MeasuredValue, decode_values
from std_daq.recording.request_channel import ReceivedKill, ReceivedRequest, RequestConsumer, RequestPublisher
from std_daq.recording.requests import Action, RunReport, StatusMessage, Verdict, WriteRequest, new_request_id
from std_daq.recording.status_channel import StatusListener, StatusPublisher
from std_daq.recording.value_channel import ReceivedValues, ValuePublisher
from std_test_kit.broker_alarm import alarm
from std_test_kit.set_up_broker import SetUpBroker, set_up_broker
from std_test_kit.wait import wait_until

LIMIT_S = 20.0
OWN, OTHER = "jungfrau-1.a", "eiger"
OF_THE_DOCS = "demo-eiger"
DOCS = Path(__file__).parents[2] / "docs"
REQUEST_OF_TEN = WriteRequest(output_file="/data/run.h5", n_images=10)


@pytest.fixture(scope="module")
def broker() -> Iterator[SetUpBroker]:
    with set_up_broker([OWN, OTHER, OF_THE_DOCS]) as broker:
        yield broker


def test_request_goes_from_client_through_agent_to_listener_with_the_rights_of_each(broker: SetUpBroker) -> None:
    with (
        StatusListener(broker.url(f"{OWN}-client")) as client,
        StatusListener(broker.url("listener")) as listener,
    ):
        for heard_by in (client, listener):
            heard_by.connection.wait_connected(LIMIT_S)
        # The agent has never been here: the queue is one of the definitions.
        publisher = RequestPublisher(client.connection, OWN)
        request_id = publisher.publish(REQUEST_OF_TEN)
        refused_id = publisher.publish(REQUEST_OF_TEN)
        publisher.kill(request_id)
        with BrokerConnection(broker.url(f"{OWN}-agent"), WriterQueues(OWN)) as agent:
            agent.wait_connected(LIMIT_S)
            consumer, statuses = RequestConsumer(agent, OWN), StatusPublisher(agent)
            received = [consumer.poll(LIMIT_S) for _ in range(3)]
            assert {type(one) for one in received} == {ReceivedRequest, ReceivedKill}
            for one in received:
                assert one is not None
                (consumer.refuse if one.request_id == refused_id else consumer.accept)(one)
            report = RunReport(request_id=request_id, verdict=Verdict.KILLED)
            end = StatusMessage.of_report(report, source=OWN, body=b"")
            statuses.publish(StatusMessage(request_id=request_id, action=Action.START, source=OWN)).result(LIMIT_S)
            statuses.publish(end).result(LIMIT_S)
        for heard_by in (client, listener):
            heard = [heard_by.receive(LIMIT_S) for _ in range(2)]
            assert [one and one.action for one in heard] == [Action.START, Action.KILLED]
    with pika.BlockingConnection(pika.URLParameters(broker.url("admin"))) as admin:
        _, properties, _ = admin.channel().basic_get(f"{OWN}.refused", auto_ack=True)
        assert properties is not None
        assert properties.correlation_id == refused_id


def test_values_reach_an_agent_that_takes_them_and_no_other_with_the_rights_of_each(broker: SetUpBroker) -> None:
    values = [MeasuredValue(name="sample_x", value=1.25)]
    with BrokerConnection(broker.url(f"{OTHER}-client"), NothingOwned()) as client:
        publisher = ValuePublisher(client, OTHER)
        client.wait_connected(LIMIT_S)
        with pytest.raises(BrokerError, match="start the writer with this tag, with names in its measured_values"):
            publisher.publish(values)
        topology = WriterQueues(OTHER, takes_values=True)
        with BrokerConnection(broker.url(f"{OTHER}-agent"), topology) as agent:
            agent.wait_connected(LIMIT_S)
            publisher.publish(values)
            received = RequestConsumer(agent, OTHER).poll(LIMIT_S)
            assert isinstance(received, ReceivedValues)
            agent.acknowledge(received.delivery)
            assert decode_values(received.delivery.body) == values


@pytest.mark.long
def test_alarm_is_known_with_the_rights_of_each_role(broker: SetUpBroker) -> None:
    with (
        BrokerConnection(broker.url(f"{OWN}-agent"), WriterQueues(OWN), publishes=True) as agent,
        BrokerConnection(broker.url(f"{OWN}-client"), NothingOwned()) as client,
        StatusListener(broker.url(f"{OWN}-client"), publishes=True) as waiting,
    ):
        connections = [agent, client, waiting.connection]
        for connection in connections:
            connection.wait_connected(LIMIT_S)
        with alarm(broker.node):
            wait_until(lambda: all(connection.why_blocked for connection in connections), LIMIT_S)
        wait_until(lambda: not any(connection.why_blocked for connection in connections), LIMIT_S)


def publish(exchange: str, key: str) -> Callable[[BlockingChannel], object]:
    def attempt(channel: BlockingChannel) -> None:
        channel.confirm_delivery()
        channel.basic_publish(exchange, key, b"")

    return attempt


def bind_own_listener(exchange: str, key: str) -> Callable[[BlockingChannel], object]:
    def attempt(channel: BlockingChannel) -> None:
        queue = f"{LISTENER_PREFIX}{new_request_id()}"
        channel.queue_declare(queue, durable=True, arguments={"x-expires": 1000})
        channel.queue_bind(queue, exchange, key)

    return attempt


def get(queue: str) -> Callable[[BlockingChannel], object]:
    return lambda channel: channel.basic_get(queue)


def declare(queue: str) -> Callable[[BlockingChannel], object]:
    return lambda channel: channel.queue_declare(queue, durable=True)


def delete(queue: str) -> Callable[[BlockingChannel], object]:
    return lambda channel: channel.queue_delete(queue)


def purge(queue: str) -> Callable[[BlockingChannel], object]:
    return lambda channel: channel.queue_purge(queue)


def delete_exchange(exchange: str) -> Callable[[BlockingChannel], object]:
    return lambda channel: channel.exchange_delete(exchange)


def declare_exchange(exchange: str) -> Callable[[BlockingChannel], object]:
    return lambda channel: channel.exchange_declare(exchange, "topic", durable=True)


def bind(queue: str, exchange: str, key: str) -> Callable[[BlockingChannel], object]:
    return lambda channel: channel.queue_bind(queue, exchange, key)


def unbind(queue: str, exchange: str, key: str) -> Callable[[BlockingChannel], object]:
    return lambda channel: channel.queue_unbind(queue, exchange, key)


OF_NOBODY = {
    "delete the exchange of requests": delete_exchange("request"),
    "delete the exchange of statuses": delete_exchange("status"),
    "declare an exchange": declare_exchange("mine"),
    "declare any queue": declare("mine"),
    "declare a queue without name": declare(""),
    "declare another's queue": declare(f"{OTHER}.request"),
    "delete another's queue": delete(f"{OTHER}.request"),
    "purge another's queue": purge(f"{OTHER}.request"),
    "take another's requests": get(f"{OTHER}.request"),
    "take another's kills": get(f"{OTHER}.kill"),
    "take own refused requests": get(f"{OWN}.refused"),
    "unbind another's queue": unbind(f"{OTHER}.request", "request", OTHER),
    "publish straight to a queue": publish("", f"{OWN}.request"),
    "request of another": publish("request", OTHER),
    "kill of another": publish("kill", OTHER),
    "publish a dead letter": publish("refused", OWN),
}
OF_NO_USER = {
    **OF_NOBODY,
    "tell a status": publish("status", ""),
    "take own requests": get(f"{OWN}.request"),
    "delete own queue": delete(f"{OWN}.request"),
    "hear requests": bind_own_listener("request", "#"),
    "hear kills": bind_own_listener("kill", OWN),
    "hear dead letters": bind_own_listener("refused", "#"),
}
ATTEMPTS = {
    f"{OWN}-agent": {
        **OF_NOBODY,
        "request of own": publish("request", OWN),
        "kill of own": publish("kill", OWN),
        "take requests of another by a binding": bind(f"{OWN}.request", "request", OTHER),
        "take all requests by a binding": bind(f"{OWN}.request", "request", "#"),
        "take all kills by a binding": bind(f"{OWN}.kill", "kill", "*"),
        "hear statuses": bind(f"{OWN}.kill", "status", ""),
        "declare a listener's queue": declare(f"{LISTENER_PREFIX}x"),
    },
    f"{OWN}-client": OF_NO_USER,
    "listener": {**OF_NO_USER, "request of own": publish("request", OWN), "kill of own": publish("kill", OWN)},
    "monitor": {
        **OF_NO_USER,
        "request of own": publish("request", OWN),
        "kill of own": publish("kill", OWN),
        "declare a listener's queue": declare(f"{LISTENER_PREFIX}x"),
    },
}


@pytest.mark.parametrize("role", ATTEMPTS)
def test_role_is_refused_whatever_is_not_its_work(broker: SetUpBroker, role: str) -> None:
    with pika.BlockingConnection(pika.URLParameters(broker.url(role))) as connection:
        for name, attempt in ATTEMPTS[role].items():
            assert refusal_of(attempt, connection) == 403, name


def refusal_of(attempt: Callable[[BlockingChannel], object], connection: pika.BlockingConnection) -> int | None:
    """Return the code with which an attempt was refused, None if it was not."""
    try:
        attempt(connection.channel())
    except pika.exceptions.ChannelClosedByBroker as refused:
        return int(refused.reply_code)
    return None


def test_refused_request_tells_the_client_why(broker: SetUpBroker) -> None:
    with BrokerConnection(broker.url(f"{OWN}-client"), NothingOwned()) as connection:
        connection.wait_connected(LIMIT_S)
        with pytest.raises(BrokerError, match=f"ACCESS_REFUSED.*'{OTHER}'"):
            RequestPublisher(connection, OTHER).publish(REQUEST_OF_TEN)
        RequestPublisher(connection, OWN).kill(new_request_id())


def test_agent_of_a_wrong_tag_is_told_at_once(broker: SetUpBroker) -> None:
    with (
        BrokerConnection(broker.url(f"{OTHER}-agent"), WriterQueues(OWN)) as connection,
        pytest.raises(BrokerError, match=f"queue '{OWN}.owner'.*ACCESS_REFUSED.*rights"),
    ):
        connection.wait_connected(LIMIT_S)


@pytest.mark.long
def test_full_queue_of_requests_refuses_the_next(broker: SetUpBroker) -> None:
    with pika.BlockingConnection(pika.URLParameters(broker.url(f"{OTHER}-client"))) as connection:
        channel = connection.channel()
        for _ in range(10_000):
            channel.basic_publish("request", OTHER, b"")
    with BrokerConnection(broker.url(f"{OTHER}-client"), NothingOwned()) as connection:
        connection.wait_connected(LIMIT_S)
        with pytest.raises(BrokerError, match="did not take the request: its queue may be full"):
            publish_until_refused(RequestPublisher(connection, OTHER))
    with pika.BlockingConnection(pika.URLParameters(broker.url("admin"))) as admin:
        admin.channel().queue_purge(f"{OTHER}.request")


def test_script_of_the_docs_publishes_a_request_and_prints_its_statuses(broker: SetUpBroker) -> None:
    page = (DOCS / "how-to" / "write-by-request.md").read_text()
    (script,) = re.findall(r"```python\n(import json.*?)```", page, re.DOTALL)
    with BrokerConnection(broker.url(f"{OF_THE_DOCS}-agent"), WriterQueues(OF_THE_DOCS)) as agent:
        agent.wait_connected(LIMIT_S)
        with subprocess.Popen(
            [sys.executable, "-c", script], cwd=broker.folder.parent, stdout=subprocess.PIPE, text=True
        ) as process:
            received = RequestConsumer(agent, OF_THE_DOCS).poll(LIMIT_S)
            assert isinstance(received, ReceivedRequest)
            assert received.parse() == WriteRequest(output_file="/data/run_5.h5", n_images=20)
            report = RunReport(request_id=received.request_id, verdict=Verdict.COMPLETE)
            foreign = RunReport(request_id=new_request_id(), verdict=Verdict.FAILED)
            statuses = StatusPublisher(agent)
            statuses.publish(
                StatusMessage(request_id=received.request_id, action=Action.START, source="", message="on")
            )
            statuses.publish(StatusMessage.of_report(foreign, source="", body=b""))
            statuses.publish(StatusMessage.of_report(report, source="", body=b"")).result(LIMIT_S)
            said, _ = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0
    assert said == "request_start on\nrequest_success complete\n"


def publish_until_refused(publisher: RequestPublisher) -> None:
    """Publish for a while: a queue counts its messages a moment later."""
    for _ in range(1000):
        publisher.publish(REQUEST_OF_TEN)


@pytest.mark.long
def test_definitions_are_loaded_again_after_a_kill_and_change_nothing() -> None:
    with set_up_broker([OWN]) as broker:
        with BrokerConnection(broker.url(f"{OWN}-client"), NothingOwned()) as connection:
            connection.wait_connected(LIMIT_S)
            RequestPublisher(connection, OWN).publish(REQUEST_OF_TEN)
            broker.node.halt()
            broker.node.start()
            RequestPublisher(connection, OWN).publish(REQUEST_OF_TEN, timeout_s=LIMIT_S)
        with pika.BlockingConnection(pika.URLParameters(broker.url("admin"))) as admin:
            assert admin.channel().queue_purge(f"{OWN}.request").method.message_count == 2
