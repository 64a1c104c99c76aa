"""A connection to RabbitMQ that reconnects by itself.

The connection chooses a node of the cluster at random. If that node fails, it tries the next one (`NodeRotation`). It
retries without a limit.

One thread owns the pika connection, because pika connections must not be shared between threads. Other threads
exchange messages with it through queues. Messages to publish wait there in order, also during an outage; messages
that arrived wait there until `receive` returns them.

Messages are persistent, and the broker confirms each of them (publisher confirms). If the connection breaks before
the confirmation of a message, the message is published again. A message may therefore arrive twice; the receiver
recognises the second one by its request id.
"""

import contextlib
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Self

import pika
import pika.exceptions
from pika.adapters.blocking_connection import BlockingChannel

from std_daq.amqp.address import BrokerAddress, redact_url
from std_daq.amqp.away_log import AwayLog
from std_daq.amqp.failures import CONNECTION_FAILURES, NOT_FOUND, describe_failure, is_refusal
from std_daq.amqp.messages import MAX_BODY_BYTES, Delivery, Message, encode_properties
from std_daq.amqp.node_rotation import NodeRotation
from std_daq.amqp.parameters import connection_parameters
from std_daq.amqp.readable_properties import read_all_messages
from std_daq.amqp.topology import Topology, explain_missing_exchange
from std_daq.errors import BrokerError, MissingExchangeError
from std_daq.telemetry.logs import get_logger

# pika logs many lines for each failed attempt; AwayLog writes one instead.
logging.getLogger("pika").setLevel(logging.CRITICAL)
read_all_messages()

PREFETCH = 16
MAX_WAITING = 10_000
PAUSES_OF_REFUSALS_S = (0.1, 0.2, 0.5, 1.0, 2.0)


@dataclass(slots=True)
class _UnconfirmedMessage:
    """A message that waits for its confirmation."""

    message: Message
    properties: pika.BasicProperties
    confirmation: Future[None]
    is_begun: bool = False

    def begin(self) -> bool:
        """Return whether the message is to be sent, that is, not cancelled; from now on it cannot be cancelled."""
        self.is_begun = self.is_begun or self.confirmation.set_running_or_notify_cancel()
        return self.is_begun


class BrokerConnection:
    """Context manager: a connection that reconnects, publishes messages in order and returns those that arrive.

    Parameters
    ----------
    address
        Address of the broker, or its URL.
    topology
        Declares exchanges and queues after each connect, and names the queues to consume.
    name
        Name of this connection in the broker's list of connections.
    max_waiting
        High-water mark: largest number of messages that wait to be published.
    """

    def __init__(
        self,
        address: BrokerAddress | str,
        topology: Topology,
        *,
        name: str = "std-daq",
        max_waiting: int = MAX_WAITING,
    ) -> None:
        self._address = BrokerAddress.parse(address) if isinstance(address, str) else address
        self._place = str(self._address)
        for url in self._address.urls:
            connection_parameters(url, self._address, name)
        self._nodes = NodeRotation(self._address.urls)
        self._topology = topology
        self._name = name
        self._max_waiting = max_waiting
        self._outgoing: deque[_UnconfirmedMessage] = deque()
        self._settlements: deque[tuple[Delivery, bool]] = deque()
        self._arrived: queue.SimpleQueue[Delivery] = queue.SimpleQueue()
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._connection: pika.BlockingConnection | None = None
        self._connected_to: str | None = None
        self._publisher: BlockingChannel
        self._session = 0
        self._trouble = "it has not answered yet"
        self._log = get_logger()
        self._away_log = AwayLog()
        self._thread = threading.Thread(target=self._run, name=f"broker-{name}", daemon=True)

    def start(self) -> None:
        """Start to connect in the background, and return at once."""
        self._thread.start()

    @property
    def is_connected(self) -> bool:
        """Whether the connection is open and the declarations are done."""
        return self._connection is not None

    @property
    def connected_to(self) -> str | None:
        """URL of the connected node, without user and password; None while there is no connection."""
        return self._connected_to

    @property
    def why_away(self) -> str | None:
        """The reason why there is no connection now; None if there is a connection."""
        return None if self.is_connected else f"no connection to the broker at {self._place}: {self._trouble}"

    def wait_connected(self, timeout_s: float) -> None:
        """Wait until the connection is open.

        Raises
        ------
        BrokerError
            All nodes refuse the connection, or none is connected before the timeout.
        """
        with self._changed:
            self._changed.wait_for(lambda: self.is_connected or self._nodes.is_refused_by_all, timeout_s)
            if not self.is_connected:
                raise BrokerError(self.why_away or "the connection to the broker opens and breaks again and again")

    def publish(self, message: Message) -> Future[None]:
        """Queue a message; it is published as soon as there is a connection.

        Returns
        -------
        Future
            Done when the broker has confirmed the message. It holds a `BrokerError` if the broker does not accept the
            message, or if the message is mandatory and no queue receives it. Cancelling the future withdraws the
            message, unless the thread has already begun to send it.

        Raises
        ------
        BrokerError
            ``max_waiting`` messages wait already, the message cannot be encoded, or the connection is closed.
        """
        outgoing = _UnconfirmedMessage(message, encode_properties(message, self._name), Future())
        with self._changed:
            self._check_open()
            if len(self._outgoing) >= self._max_waiting:
                raise BrokerError(
                    f"{len(self._outgoing)} messages wait for the broker at {self._place}: {self._trouble}"
                )
            self._outgoing.append(outgoing)
        self._wake_thread()
        return outgoing.confirmation

    def receive(self, timeout_s: float = 0.0) -> Delivery | None:
        """Return the next message that arrived; None if none arrives before the timeout.

        Raises
        ------
        BrokerError
            The connection is closed.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            self._check_open()
            try:
                delivery = self._arrived.get(timeout=max(deadline - time.monotonic(), 0.0))
            except queue.Empty:
                return None
            if delivery.session == self._session:
                return delivery

    def acknowledge(self, delivery: Delivery) -> None:
        """Acknowledge a delivery; without effect if its session is over, because the broker delivers it again then."""
        self._settle(delivery, is_accepted=True)

    def reject(self, delivery: Delivery) -> None:
        """Reject a delivery, so that the broker moves it to the dead letters; without effect if its session is over."""
        self._settle(delivery, is_accepted=False)

    def close(self, timeout_s: float = 5.0) -> None:
        """Send the messages that wait, if there is a connection, and end the thread."""
        self._closing.set()
        self._wake_thread()
        with self._changed:
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._closing.is_set():
            raise BrokerError(f"the connection to the broker at {self._place} is closed: {self._trouble}")

    def _settle(self, delivery: Delivery, *, is_accepted: bool) -> None:
        self._settlements.append((delivery, is_accepted))
        self._wake_thread()

    def _wake_thread(self) -> None:
        """Wake the thread, so that it looks at its queues."""
        connection = self._connection
        if connection is not None:
            with contextlib.suppress(pika.exceptions.AMQPError):
                connection.add_callback_threadsafe(_do_nothing)

    def _run(self) -> None:
        try:
            while not self._closing.is_set():
                self._run_session()
        except Exception as error:  # noqa: BLE001 -- the top of this thread: nobody else would see the error
            self._trouble = f"its thread ended with {error!r}"
            self._log.exception("broker_thread_failed", broker=self._place)
        finally:
            self._closing.set()
            self._give_up_waiting()

    def _give_up_waiting(self) -> None:
        with self._changed:
            while self._outgoing:
                outgoing = self._outgoing.popleft()
                if outgoing.begin():
                    outgoing.confirmation.set_exception(
                        BrokerError(f"not confirmed by the broker at {self._place} before the connection was closed")
                    )
            self._changed.notify_all()

    def _run_session(self) -> None:
        """Connect to the next node, and serve until the connection breaks or `close` is called."""
        url = self._nodes.current
        with contextlib.ExitStack() as stack:
            try:
                connection = pika.BlockingConnection(connection_parameters(url, self._address, self._name))
                stack.callback(_close_quietly, connection)
                self._trouble = "it is connected, but does not answer the declarations of exchanges and queues"
                channel = self._open_channel(connection)
                self._open_publisher(connection)
                self._enter_session(connection, url)
                self._serve(connection, channel)
                self._topology.remove(channel)
            except MissingExchangeError as error:
                self._leave_session(str(error), is_refused=False)
            except BrokerError as error:
                self._leave_session(str(error), is_refused=True)
            except CONNECTION_FAILURES as error:
                self._leave_session(describe_failure(error), is_refused=is_refusal(error))
            else:
                self._leave_session("closed", is_refused=False)
        self._closing.wait(self._nodes.pause_s())

    def _open_channel(self, connection: pika.BlockingConnection) -> BlockingChannel:
        channel = connection.channel()
        queues = self._topology.declare(channel)
        channel.basic_qos(prefetch_count=PREFETCH)
        channel.add_on_cancel_callback(_stop_serving)
        for name in queues:
            channel.basic_consume(name, self._consumer_callback(name))
        return channel

    def _open_publisher(self, connection: pika.BlockingConnection) -> None:
        """Open the channel for publishing; deliveries have a channel of their own, which stays open."""
        self._publisher = connection.channel()
        self._publisher.confirm_delivery()

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
                )
            )

        return take

    def _enter_session(self, connection: pika.BlockingConnection, url: str) -> None:
        with self._changed:
            self._connection = connection
            self._connected_to = redact_url(url)
            self._nodes.succeed()
            self._changed.notify_all()
        self._away_log.note_connected(self._connected_to)
        self._log.info("broker_connected", broker=self._connected_to, name=self._name)

    def _leave_session(self, trouble: str, *, is_refused: bool) -> None:
        with self._changed:
            self._connection = None
            self._connected_to = None
            self._session += 1
            place = redact_url(self._nodes.current)
            self._nodes.fail(is_refused=is_refused)
            self._trouble = trouble
            self._settlements.clear()
            self._changed.notify_all()
        if not self._closing.is_set():
            self._away_log.note_away(place, trouble)

    def _serve(self, connection: pika.BlockingConnection, channel: BlockingChannel) -> None:
        while True:
            is_closing = self._closing.is_set()
            self._send_settlements(channel)
            self._send_outgoing(connection)
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

    def _send_outgoing(self, connection: pika.BlockingConnection) -> None:
        """Publish in order; a message leaves the queue once it is confirmed, refused or cancelled."""
        while self._outgoing:
            outgoing = self._outgoing[0]
            if outgoing.begin():
                self._send(connection, outgoing)
            self._outgoing.popleft()

    def _send(self, connection: pika.BlockingConnection, outgoing: _UnconfirmedMessage) -> None:
        message = outgoing.message
        try:
            self._publish_until_taken(connection, outgoing)
        except pika.exceptions.UnroutableError:
            outgoing.confirmation.set_exception(
                BrokerError(
                    f"no queue at the broker at {self._place} receives a {message.exchange} "
                    f"for '{message.routing_key}': start the writer with this tag, or check the tag"
                )
            )
        except pika.exceptions.NackError:
            outgoing.confirmation.set_exception(
                BrokerError(f"the broker at {self._place} did not take the {message.exchange}: its queue may be full")
            )
        except pika.exceptions.ChannelClosedByBroker as error:
            # Not sent again: the message would close the next channel as well.
            outgoing.confirmation.set_exception(BrokerError(_describe_refusal(error, message)))
            self._outgoing.popleft()
            raise
        else:
            outgoing.confirmation.set_result(None)

    def _publish_until_taken(self, connection: pika.BlockingConnection, outgoing: _UnconfirmedMessage) -> None:
        """Publish a message, and retry for a while if the broker does not confirm it (basic.nack).

        A cluster refuses messages this way while it loses a node. A channel that was opened at that moment refuses all
        later messages, too, because it asks the lost node (seen with RabbitMQ 3.10.8). Each retry therefore opens a
        new channel.
        """
        message = outgoing.message
        for pause_s in (*PAUSES_OF_REFUSALS_S, None):
            try:
                self._publisher.basic_publish(
                    message.exchange, message.routing_key, message.body, outgoing.properties, message.is_mandatory
                )
            except pika.exceptions.NackError:
                if pause_s is None:
                    raise
                connection.sleep(pause_s)
                self._publisher.close()
                self._open_publisher(connection)
            else:
                return


def _describe_refusal(error: pika.exceptions.ChannelClosedByBroker, message: Message) -> str:
    if error.reply_code == NOT_FOUND:
        return f"the message was not sent: {explain_missing_exchange(message.exchange)}"
    return f"the broker refused the message: {error.reply_text}"


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
