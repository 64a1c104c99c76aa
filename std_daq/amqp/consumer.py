"""BrokerConsumer: declares queues and receives their messages, over a connection that publishes nothing.

RabbitMQ stops to read from connections that publish while an alarm is on (the disk or the memory is full). It goes on
to read from a connection that only consumes, so acknowledgements and declarations pass also during an alarm.
"""

import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Callable

import pika
import pika.exceptions
from pika.adapters.blocking_connection import BlockingChannel

from std_daq.amqp.address import BrokerAddress
from std_daq.amqp.away_log import AwayLog
from std_daq.amqp.failures import CONNECTION_FAILURES
from std_daq.amqp.link import BrokerLink
from std_daq.amqp.messages import MAX_BODY_BYTES, Delivery
from std_daq.amqp.parameters import connection_parameters
from std_daq.amqp.topology import Topology


class BrokerConsumer(BrokerLink):
    """Receives the messages of the queues of a topology.

    Messages that arrived wait until `receive` returns them.

    Parameters
    ----------
    address, name, away_log, changed
        As in `BrokerLink`.
    topology
        Declares exchanges and queues after each connect, and names the queues to consume.
    """

    def __init__(
        self, address: BrokerAddress, name: str, away_log: AwayLog, changed: threading.Condition, topology: Topology
    ) -> None:
        super().__init__(address, name, away_log, changed)
        self._topology = topology
        self._settlements: deque[tuple[Delivery, bool]] = deque()
        self._arrived: queue.SimpleQueue[Delivery] = queue.SimpleQueue()
        self._connection: pika.BlockingConnection | None = None
        self._session = 0

    def receive(self, timeout_s: float) -> Delivery | None:
        """Return the next message that arrived; None if none arrives before the timeout."""
        deadline = time.monotonic() + timeout_s
        while True:
            self.check_open()
            try:
                delivery = self._arrived.get(timeout=max(deadline - time.monotonic(), 0.0))
            except queue.Empty:
                return None
            if delivery.session == self._session:
                return delivery

    def settle(self, delivery: Delivery, *, is_accepted: bool) -> None:
        """Acknowledge or reject a delivery; without effect if its session is over."""
        self._settlements.append((delivery, is_accepted))
        self._wake()

    def _wake(self) -> None:
        connection = self._connection
        if connection is not None:
            with contextlib.suppress(pika.exceptions.AMQPError):
                connection.add_callback_threadsafe(_do_nothing)

    def _serve(self, url: str, enter: Callable[[], None]) -> None:
        try:
            with contextlib.ExitStack() as stack:
                connection = pika.BlockingConnection(connection_parameters(url, self.address, self.name))
                stack.callback(_close_quietly, connection)
                self._trouble = "it is connected, but does not answer the declarations of exchanges and queues"
                channel = self._open_channel(connection)
                self._connection = connection
                enter()
                self._handle_events(connection, channel)
                self._topology.remove(channel)
        finally:
            self._connection = None
            self._session += 1
            self._settlements.clear()

    def _open_channel(self, connection: pika.BlockingConnection) -> BlockingChannel:
        channel = connection.channel()
        queues = self._topology.declare(channel)
        channel.add_on_cancel_callback(_stop_serving)
        for name in queues:
            channel.basic_qos(prefetch_count=self._topology.prefetch_of(name))  # of the next consumer
            channel.basic_consume(name, self._consumer_callback(name))
        return channel

    def _consumer_callback(self, name: str) -> Callable[..., None]:
        """Return the callback that pika calls for each message of a queue."""
        session = self._session

        def take(
            _: BlockingChannel, method: pika.spec.Basic.Deliver, properties: pika.BasicProperties, body: bytes
        ) -> None:
            self._arrived.put(
                Delivery(
                    queue=name,
                    body=body[:MAX_BODY_BYTES],
                    n_body_bytes=len(body),
                    headers=properties.headers or {},
                    correlation_id=_text(properties.correlation_id),
                    message_id=_text(properties.message_id),
                    is_redelivered=method.redelivered,
                    tag=method.delivery_tag,
                    session=session,
                    sender=_text(properties.app_id) or "",
                )
            )

        return take

    def _handle_events(self, connection: pika.BlockingConnection, channel: BlockingChannel) -> None:
        while True:
            is_closing = self._closing.is_set()
            self._send_settlements(channel)
            if is_closing:
                return
            connection.process_data_events(time_limit=1.0)
            if not channel.is_open:
                raise pika.exceptions.ChannelClosed(0, "the broker closed the channel")

    def _send_settlements(self, channel: BlockingChannel) -> None:
        while self._settlements:
            delivery, is_accepted = self._settlements.popleft()
            if delivery.session != self._session:
                continue
            if is_accepted:
                channel.basic_ack(delivery.tag)
            else:
                channel.basic_reject(delivery.tag, requeue=False)


def _text(value: str | bytes | None) -> str | None:
    """Return a short string as text; pika returns a string that is not valid UTF-8 as bytes."""
    return value.decode(errors="surrogateescape") if isinstance(value, bytes) else value


def _stop_serving(_: object) -> None:
    """End the session, because the broker cancelled a consumer: its queue was deleted or has moved."""
    raise pika.exceptions.ConsumerCancelled


def _close_quietly(connection: pika.BlockingConnection) -> None:
    with contextlib.suppress(*CONNECTION_FAILURES):
        if connection.is_open:
            connection.close()


def _do_nothing() -> None:
    """Do nothing; the callback only makes ``process_data_events`` return, after which the loop looks at its queues."""
