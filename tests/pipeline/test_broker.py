"""Requests, kills and statuses through a real RabbitMQ."""

import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pika
import pytest

from std_daq.amqp.connection import BrokerConnection
from std_daq.amqp.messages import Message
from std_daq.amqp.topology import (
    KILL,
    MAX_REFUSED,
    REFUSED,
    REQUEST,
    NothingOwned,
    WriterQueues,
    kill_queue,
    refused_queue,
    request_queue,
)
from std_daq.errors import BrokerError, RequestRefusedError
from std_daq.rabbitmq.throwaway import ThrowawayBroker
from std_daq.recording.request_channel import ReceivedKill, ReceivedRequest, RequestConsumer, RequestPublisher
from std_daq.recording.requests import (
    Action,
    RunReport,
    StatusMessage,
    Verdict,
    WriteRequest,
    new_request_id,
)
from std_daq.recording.status_channel import StatusListener, StatusPublisher
from std_test_kit.tcp_proxy import TcpProxy

REQUEST_OF_TEN = WriteRequest(output_file="/data/run.h5", n_images=10)
LIMIT_S = 10.0

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def writer(broker_url: str, tag: str) -> Iterator[BrokerConnection]:
    with BrokerConnection(broker_url, WriterQueues(tag), name="writer") as connection:
        connection.wait_connected(LIMIT_S)
        yield connection


@pytest.fixture
def client(broker_url: str) -> Iterator[StatusListener]:
    with StatusListener(broker_url, name="client") as listener:
        listener.connection.wait_connected(LIMIT_S)
        yield listener


def n_messages(url: str, queue: str) -> int:
    """Messages in a queue that are with no consumer."""
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        return int(connection.channel().queue_declare(queue, passive=True).method.message_count)


def take(consumer: RequestConsumer) -> ReceivedRequest:
    received = consumer.poll(LIMIT_S)
    assert isinstance(received, ReceivedRequest)
    return received


def test_request_reaches_the_writer_and_its_statuses_the_client(
    writer: BrokerConnection, client: StatusListener, tag: str
) -> None:
    consumer, statuses = RequestConsumer(writer, tag), StatusPublisher(writer)
    request_id = RequestPublisher(client.connection, tag).publish(REQUEST_OF_TEN)
    received = take(consumer)
    assert (received.request_id, received.parse()) == (request_id, REQUEST_OF_TEN)
    consumer.accept(received)
    body = received.delivery.body
    sent = [
        StatusMessage(request_id=request_id, action=Action.ACCEPTED, source=tag, body=body),
        StatusMessage(request_id=request_id, action=Action.PROGRESS, source=tag, body=body, details={"n_written": 5}),
        StatusMessage.of_report(
            RunReport(request_id=request_id, verdict=Verdict.COMPLETE, n_requested=10, n_written=10),
            source=tag,
            body=body,
        ),
    ]
    for status in sent:
        statuses.publish(status)
    assert [client.receive(LIMIT_S) for _ in sent] == sent
    assert client.receive() is None


def test_kill_reaches_the_writer(writer: BrokerConnection, client: StatusListener, tag: str) -> None:
    consumer = RequestConsumer(writer, tag)
    request_id = new_request_id()
    RequestPublisher(client.connection, tag).kill(request_id)
    received = consumer.poll(LIMIT_S)
    assert isinstance(received, ReceivedKill)
    assert received.request_id == request_id
    consumer.accept(received)


def test_writer_answers_for_its_own_tag_only(
    broker_url: str, writer: BrokerConnection, client: StatusListener, tag: str
) -> None:
    with BrokerConnection(broker_url, WriterQueues(f"{tag}x"), name="other") as other:
        other.wait_connected(LIMIT_S)
        request_id = RequestPublisher(client.connection, f"{tag}x").publish(REQUEST_OF_TEN)
        assert take(RequestConsumer(other, f"{tag}x")).request_id == request_id
        assert RequestConsumer(writer, tag).poll() is None


def test_request_for_a_tag_without_writer_is_an_error(client: StatusListener) -> None:
    with pytest.raises(BrokerError, match="'nobody-home': start the writer"):
        RequestPublisher(client.connection, "nobody-home").publish(REQUEST_OF_TEN)


def test_request_waits_for_a_writer_that_is_away(broker_url: str, client: StatusListener, tag: str) -> None:
    with BrokerConnection(broker_url, WriterQueues(tag)) as first:
        first.wait_connected(LIMIT_S)
    request_id = RequestPublisher(client.connection, tag).publish(REQUEST_OF_TEN)
    with BrokerConnection(broker_url, WriterQueues(tag)) as second:
        assert take(RequestConsumer(second, tag)).request_id == request_id


@pytest.mark.parametrize(
    ("request_id", "body"),
    [
        ("6a0cf3f4-90de-4b9b-8a7e-0e6d3d3ed9c1", b"{"),
        ("6a0cf3f4-90de-4b9b-8a7e-0e6d3d3ed9c1", b'{"output_file": "/a", "n_imagse": 1}'),
        ("6a0cf3f4-90de-4b9b-8a7e-0e6d3d3ed9c1", b"\xff" * 10_000),
        ("not a uuid", REQUEST_OF_TEN.to_wire()),
    ],
)
def test_request_that_cannot_be_understood_goes_to_the_dead_letters(
    broker_url: str, writer: BrokerConnection, client: StatusListener, tag: str, request_id: str, body: bytes
) -> None:
    client.connection.publish(Message(exchange=REQUEST, routing_key=tag, body=body, correlation_id=request_id)).result(
        LIMIT_S
    )
    consumer = RequestConsumer(writer, tag)
    received = take(consumer)
    with pytest.raises(RequestRefusedError):
        received.parse()
    assert (received.request_id, received.delivery.body) == (request_id, body)
    consumer.refuse(received)
    writer.close()
    assert n_messages(broker_url, request_queue(tag)) == 0
    assert n_messages(broker_url, refused_queue(tag)) == 1


def test_dead_letters_do_not_fill_the_disk_of_the_broker(
    broker_url: str, writer: BrokerConnection, client: StatusListener, tag: str
) -> None:
    letters = [
        client.connection.publish(Message(exchange=REFUSED, routing_key=tag, correlation_id="x", body=bytes(12 << 20)))
        for _ in range(7)
    ]
    for letter in letters:
        letter.result(LIMIT_S)
    writer.close()
    assert n_messages(broker_url, refused_queue(tag)) == 5


def test_ids_that_are_no_text_are_refused_and_harm_nobody(
    broker_url: str, writer: BrokerConnection, client: StatusListener, tag: str
) -> None:
    with pika.BlockingConnection(pika.URLParameters(broker_url)) as foreign:
        for exchange in (REQUEST, KILL):
            properties = pika.BasicProperties(correlation_id=b"\xff\xfe", message_id=b"\xff")
            foreign.channel().basic_publish(exchange, tag, REQUEST_OF_TEN.to_wire(), properties)
    consumer = RequestConsumer(writer, tag)
    received = [consumer.poll(LIMIT_S), consumer.poll(LIMIT_S)]
    assert {type(one) for one in received} == {ReceivedRequest, ReceivedKill}
    for one in received:
        assert one is not None
        assert one.request_id.encode(errors="surrogateescape") == b"\xff\xfe"
        if isinstance(one, ReceivedRequest):
            with pytest.raises(RequestRefusedError, match="is not a UUID"):
                one.parse()
        consumer.refuse(one)
    assert RequestPublisher(client.connection, tag).publish(REQUEST_OF_TEN) == take(consumer).request_id


class DateThatIsNone(pika.BasicProperties):
    """Properties with a date after the year 9999 as a header, which pika does not send by itself."""

    def __init__(self, request_id: str) -> None:
        super().__init__(headers={"x": 2**62}, correlation_id=request_id)

    def encode(self) -> list[bytes]:
        return [b"".join(super().encode()).replace(b"\x01xl", b"\x01xT")]


def test_headers_that_cannot_be_read_harm_nobody(
    broker_url: str, writer: BrokerConnection, client: StatusListener, tag: str
) -> None:
    request_id = new_request_id()
    with pika.BlockingConnection(pika.URLParameters(broker_url)) as connection:
        connection.channel().basic_publish("request", tag, REQUEST_OF_TEN.to_wire(), DateThatIsNone(request_id))
    next_id = RequestPublisher(client.connection, tag).publish(REQUEST_OF_TEN)
    consumer = RequestConsumer(writer, tag)
    assert [take(consumer).request_id for _ in range(2)] == [request_id, next_id]


def test_foreign_statuses_are_skipped_and_counted(broker_url: str, client: StatusListener) -> None:
    with BrokerConnection(broker_url, NothingOwned()) as connection:
        for headers in ({}, {"action": "detector_started"}, {"action": "request_fail", "report": "?"}):
            connection.publish(Message(exchange="status", correlation_id="x", headers=headers))
        status = StatusMessage(request_id="x", action=Action.START, source="s")
        StatusPublisher(connection).publish(status)
        assert client.receive(LIMIT_S) == status
    assert client.n_foreign == 3


def test_unsettled_request_comes_again_when_the_connection_was_cut(
    broker_url: str, client: StatusListener, tag: str
) -> None:
    place = urlsplit(broker_url)
    assert place.port is not None
    with TcpProxy(place.port) as proxy:
        url = broker_url.replace(f":{place.port}/", f":{proxy.port}/")
        with BrokerConnection(url, WriterQueues(tag), name="writer") as connection:
            connection.wait_connected(LIMIT_S)
            consumer = RequestConsumer(connection, tag)
            request_id = RequestPublisher(client.connection, tag).publish(REQUEST_OF_TEN)
            before = take(consumer)
            proxy.cut()
            confirmation = StatusPublisher(connection).publish(
                StatusMessage(request_id=request_id, action=Action.START, source=tag)
            )
            proxy.restore()
            again = take(consumer)
            assert again.request_id == request_id
            assert again.delivery.is_redelivered
            consumer.accept(before)
            consumer.refuse(before)
            consumer.accept(again)
            confirmation.result(LIMIT_S)
    status = client.receive(LIMIT_S)
    assert status is not None
    assert status.action is Action.START
    assert n_messages(broker_url, request_queue(tag)) == 0
    assert n_messages(broker_url, refused_queue(tag)) == 0


def test_connection_comes_back_when_its_queue_was_deleted(
    broker_url: str, writer: BrokerConnection, client: StatusListener, tag: str
) -> None:
    with pika.BlockingConnection(pika.URLParameters(broker_url)) as admin:
        admin.channel().queue_delete(kill_queue(tag))
    consumer = RequestConsumer(writer, tag)
    # The queue is declared anew: kills are routed again.
    publisher = RequestPublisher(client.connection, tag)
    assert _comes_back(publisher, new_request_id())
    assert isinstance(consumer.poll(LIMIT_S), ReceivedKill)


def _comes_back(publisher: RequestPublisher, request_id: str) -> bool:
    for _ in range(1000):
        try:
            publisher.kill(request_id)
        except BrokerError:
            continue
        return True
    return False


def test_listener_leaves_no_queue_behind(broker_url: str) -> None:
    with StatusListener(broker_url) as listener:
        listener.connection.wait_connected(LIMIT_S)
        queue = listener.queue
        assert n_messages(broker_url, queue) == 0
    with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="NOT_FOUND"):
        n_messages(broker_url, queue)


def test_wrong_password_is_told_at_once(broker_url: str) -> None:
    url = broker_url.replace("://std-daq:", "://intruder:")
    with (
        BrokerConnection(url, NothingOwned()) as connection,
        pytest.raises(BrokerError, match="ACCESS_REFUSED"),
    ):
        connection.wait_connected(LIMIT_S)


def test_queue_of_other_properties_is_told_with_the_remedy(broker_url: str, tag: str) -> None:
    with pika.BlockingConnection(pika.URLParameters(broker_url)) as admin:
        admin.channel().queue_declare(request_queue(tag), durable=True)
    with (
        BrokerConnection(broker_url, WriterQueues(tag)) as connection,
        pytest.raises(BrokerError, match=f"rabbitmqctl delete_queue {tag}"),
    ):
        connection.wait_connected(LIMIT_S)


def test_queue_of_an_earlier_version_is_named_and_once_it_is_deleted_the_agent_goes_on(
    broker_url: str, tag: str
) -> None:
    with pika.BlockingConnection(pika.URLParameters(broker_url)) as admin:
        admin.channel().queue_declare(refused_queue(tag), durable=True, arguments={"x-max-length": MAX_REFUSED})
    with BrokerConnection(broker_url, WriterQueues(tag)) as connection:
        with pytest.raises(BrokerError, match="x-max-length-bytes") as told:
            connection.wait_connected(LIMIT_S)
        assert f"delete it once (rabbitmqctl delete_queue {tag}.refused)" in str(told.value)
        assert "broker.queue_type" not in str(told.value)
        with pika.BlockingConnection(pika.URLParameters(broker_url)) as admin:
            admin.channel().queue_delete(refused_queue(tag))
        _wait_through_refusals(connection)
        assert n_messages(broker_url, refused_queue(tag)) == 0


def _wait_through_refusals(connection: BrokerConnection) -> None:
    """Wait until a connection comes about whose earlier attempts were refused."""
    end = time.monotonic() + LIMIT_S
    while True:
        try:
            return connection.wait_connected(LIMIT_S)
        except BrokerError:
            if time.monotonic() > end:
                raise


@pytest.mark.long
def test_nothing_confirmed_is_lost_when_the_broker_is_killed_in_the_middle(tag: str) -> None:
    with (
        ThrowawayBroker() as broker,
        BrokerConnection(broker.url, WriterQueues(tag), name="writer") as writer,
        StatusListener(broker.url, name="client") as client,
    ):
        writer.wait_connected(LIMIT_S)
        publisher, consumer = RequestPublisher(client.connection, tag), RequestConsumer(writer, tag)
        confirmed = [publisher.publish(REQUEST_OF_TEN) for _ in range(20)]
        for _ in range(5):
            consumer.accept(take(consumer))
        broker.halt()
        statuses = [
            StatusPublisher(writer).publish(StatusMessage(request_id=request_id, action=Action.START, source=tag))
            for request_id in confirmed
        ]
        broker.start()
        confirmed.append(publisher.publish(REQUEST_OF_TEN, timeout_s=30.0))
        seen = set(confirmed[:5])
        while seen != set(confirmed):
            received = take(consumer)
            assert received.request_id in confirmed
            seen.add(received.request_id)
            consumer.accept(received)
        for confirmation in statuses:
            confirmation.result(LIMIT_S)
        heard = [client.receive(LIMIT_S) for _ in statuses]
        assert [status and status.request_id for status in heard] == confirmed[:20]
