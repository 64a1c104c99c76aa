"""Write requests and kills: how a client sends them and how a writer receives them."""

from concurrent.futures import Future
from dataclasses import dataclass

from std_daq.amqp.connection import PUBLISHER_SUFFIX, BrokerConnection
from std_daq.amqp.messages import Delivery, Message
from std_daq.amqp.topology import KILL, REQUEST, check_tag, kill_queue, value_queue
from std_daq.errors import BrokerError
from std_daq.recording.requests import (
    WriteRequest,
    check_request_id,
    check_request_size,
    new_request_id,
    parse_write_request,
)
from std_daq.recording.value_channel import ReceivedValues


class RequestPublisher:
    """The client's side: send requests and kills to a writer.

    Parameters
    ----------
    connection
        Connection to the broker, with any topology. With the connection of a `StatusListener` no status is missed.
    tag
        Tag of the writer, the routing key of the messages.
    """

    def __init__(self, connection: BrokerConnection, tag: str) -> None:
        self._connection = connection
        self._tag = check_tag(tag)

    def publish(self, request: WriteRequest, *, request_id: str | None = None, timeout_s: float = 10.0) -> str:
        """Send a request, and return its id once the broker has confirmed it.

        Raises
        ------
        BrokerError
            There is no writer with this tag, or the broker did not confirm in time. A request that had not been sent
            at the timeout is withdrawn. If it had been sent, the message says that it may be carried out.
        BrokerBlockedError
            The broker takes no messages, because its disk or memory is full. This is told at once.
        """
        request_id = request_id or new_request_id()
        self._send(REQUEST, request_id, request.to_wire(), timeout_s)
        return request_id

    def kill(self, request_id: str, *, timeout_s: float = 10.0) -> None:
        """Ask the writer to end a request.

        Raises
        ------
        BrokerError
            For the same reasons as in `publish`.
        """
        self._send(KILL, request_id, b"", timeout_s)

    def _send(self, exchange: str, request_id: str, body: bytes, timeout_s: float) -> None:
        confirmation: Future[None] = self._connection.publish(
            Message(
                exchange=exchange,
                routing_key=self._tag,
                body=body,
                correlation_id=request_id,
                is_mandatory=True,
                may_wait=False,
            )
        )
        try:
            confirmation.result(timeout_s)
        except TimeoutError:
            fate = "was not sent" if confirmation.cancel() else "may have been sent and may be carried out"
            raise BrokerError(
                f"no answer from the broker within {timeout_s} s: the {exchange} {request_id} {fate}"
            ) from None


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """A request as it arrived; nothing of it is checked yet.

    Attributes
    ----------
    request_id
        Correlation id of the message, also if it is not a valid request id; empty if there is none.
    delivery
        The message; its body is the JSON of the request.
    """

    request_id: str
    delivery: Delivery

    @property
    def sender(self) -> str:
        """What the sender says of itself: the name of its connection, such as ``std-daq-client alice@host``."""
        return self.delivery.sender.removesuffix(PUBLISHER_SUFFIX)

    def parse(self) -> WriteRequest:
        """Return the write request.

        Raises
        ------
        RequestRefusedError
            The request id or the body is not valid; the text is the reason.
        """
        check_request_id(self.request_id)
        check_request_size(self.delivery.n_body_bytes)
        return parse_write_request(self.delivery.body)


@dataclass(frozen=True, slots=True)
class ReceivedKill:
    """A kill as it arrived.

    Attributes
    ----------
    request_id
        Id of the request to end; empty if the message names none.
    delivery
        The message.
    """

    request_id: str
    delivery: Delivery


class RequestConsumer:
    """The writer's side: receive the requests and kills for its tag, and measured values.

    The writer must accept or refuse each of them; otherwise the broker delivers it again after the next connect. It
    is also delivered again if the connection broke before the acknowledgement reached the broker. The writer
    recognises such a repetition by the request id.

    Parameters
    ----------
    connection
        Connection to the broker with the topology `WriterQueues` of the tag.
    tag
        Tag of this writer.
    """

    def __init__(self, connection: BrokerConnection, tag: str) -> None:
        self._connection = connection
        self._kill_queue = kill_queue(tag)
        self._value_queue = value_queue(tag)

    def poll(self, timeout_s: float = 0.0) -> ReceivedRequest | ReceivedKill | ReceivedValues | None:
        """Return the next request, kill or message with values; None if none arrives before the timeout."""
        delivery = self._connection.receive(timeout_s)
        if delivery is None:
            return None
        if delivery.queue == self._value_queue:
            return ReceivedValues(delivery)
        request_id = delivery.correlation_id or ""
        if delivery.queue == self._kill_queue:
            return ReceivedKill(request_id, delivery)
        return ReceivedRequest(request_id, delivery)

    def accept(self, received: ReceivedRequest | ReceivedKill | ReceivedValues) -> None:
        """Acknowledge a message: the broker forgets it, and from now on only this service knows of it."""
        self._connection.acknowledge(received.delivery)

    def refuse(self, received: ReceivedRequest | ReceivedKill) -> None:
        """Reject a request or kill: the broker moves it to the dead letters, where people can look at it."""
        self._connection.reject(received.delivery)
