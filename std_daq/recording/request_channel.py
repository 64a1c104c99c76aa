"""Write requests and kills: how a client sends them and how a writer takes them."""

from concurrent.futures import Future
from dataclasses import dataclass

from std_daq.amqp.connection import BrokerConnection
from std_daq.amqp.messages import Delivery, Message
from std_daq.amqp.topology import KILL, REQUEST, check_tag, kill_queue
from std_daq.errors import BrokerError, RequestRefusedError
from std_daq.recording.requests import WriteRequest, check_request_id, new_request_id, parse_write_request


class RequestPublisher:
    """The client's side: sends requests and kills to the writer with a tag.

    Parameters
    ----------
    connection
        Of any topology; that of a `StatusListener` makes sure that no status is missed.
    tag
        Routing key of the writer.
    """

    def __init__(self, connection: BrokerConnection, tag: str) -> None:
        self._connection = connection
        self._tag = check_tag(tag)

    def publish(self, request: WriteRequest, *, request_id: str | None = None, timeout_s: float = 10.0) -> str:
        """Send a request and return its id when the broker has it in safety.

        Raises
        ------
        BrokerError
            There is no such writer, or no confirmation came in time. If the request had not left by then, it
            never will; otherwise the text says that it may be carried out.
        """
        request_id = request_id or new_request_id()
        self._send(REQUEST, request_id, request.to_wire(), timeout_s)
        return request_id

    def kill(self, request_id: str, *, timeout_s: float = 10.0) -> None:
        """Ask for the end of a request.

        Raises
        ------
        BrokerError
            As `publish`.
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
            )
        )
        try:
            confirmation.result(timeout_s)
        except TimeoutError:
            fate = "was not sent" if confirmation.cancel() else "may have been sent, and be carried out"
            raise BrokerError(
                f"no answer from the broker within {timeout_s} s: the {exchange} {request_id} {fate}"
            ) from None


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """A request as it arrived.

    Attributes
    ----------
    request_id
        Correlation id of the message, whatever it is; empty if there is none.
    request
        What is asked for; None if that cannot be understood.
    problem
        Why not; empty if it can.
    delivery
        The message, with the request's own JSON as body.
    """

    request_id: str
    request: WriteRequest | None
    problem: str
    delivery: Delivery


@dataclass(frozen=True, slots=True)
class ReceivedKill:
    """A kill as it arrived.

    Attributes
    ----------
    request_id
        Request that shall end; empty if the message names none.
    delivery
        The message.
    """

    request_id: str
    delivery: Delivery


class RequestConsumer:
    """The writer's side: takes the requests and kills for its tag.

    Each has to be accepted or refused; else it comes again with the next connection. It may also come again
    if the connection broke before the broker knew: the request id tells.

    Parameters
    ----------
    connection
        With the topology `WriterQueues` of the tag.
    tag
        Routing key of this writer.
    """

    def __init__(self, connection: BrokerConnection, tag: str) -> None:
        self._connection = connection
        self._kill_queue = kill_queue(tag)

    def poll(self, timeout_s: float = 0.0) -> ReceivedRequest | ReceivedKill | None:
        """Return what came next, None if there is nothing in time."""
        delivery = self._connection.receive(timeout_s)
        if delivery is None:
            return None
        request_id = delivery.correlation_id or ""
        if delivery.queue == self._kill_queue:
            return ReceivedKill(request_id, delivery)
        try:
            check_request_id(request_id)
            return ReceivedRequest(request_id, parse_write_request(delivery.body), "", delivery)
        except RequestRefusedError as error:
            return ReceivedRequest(request_id, None, str(error), delivery)

    def accept(self, received: ReceivedRequest | ReceivedKill) -> None:
        """Take it off the broker: from now on only this service knows of it."""
        self._connection.acknowledge(received.delivery)

    def refuse(self, received: ReceivedRequest | ReceivedKill) -> None:
        """Give it to the dead letters, where people can look at it."""
        self._connection.reject(received.delivery)
