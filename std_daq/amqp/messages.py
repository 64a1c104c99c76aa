"""Messages that are published to the broker, and deliveries that come from it."""

import struct
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import pika
import pika.exceptions

from std_daq.errors import BrokerError, MessageRefusedError

# All headers of a message must fit into one AMQP frame, with these bytes around them: header and end of the frame, and
# class, weight and length of the body.
_FRAME_BYTES = 8 + 12
# The longest frame of a broker that sets no limit.
_MAX_FRAME_BYTES = 1 << 20
# Messages that arrive wait in memory. RabbitMQ takes messages of 16 to 512 MiB; those of std-daq have 1 MiB at most.
MAX_BODY_BYTES = 2 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message to publish.

    Attributes
    ----------
    exchange
        Name of the exchange to publish to.
    routing_key
        Routing key, by which the exchange chooses the queues; for a request, the writer's tag.
    body
        The content.
    correlation_id
        Id of the request that the message belongs to.
    headers
        Headers of the message.
    is_mandatory
        Whether it is an error if no queue receives the message.
    may_wait
        Whether the message may wait while the broker blocks publishers; if not, publishing fails at once.
    shorten
        Returns the headers with at most the given number of bytes, for a broker with small frames; None if they cannot
        be shortened.
    message_id
        Id of the message; a repetition has the same id.
    """

    exchange: str
    routing_key: str = ""
    body: bytes = b""
    correlation_id: str
    headers: Mapping[str, object] = field(default_factory=dict)
    is_mandatory: bool = False
    may_wait: bool = True
    shorten: Callable[[int], Mapping[str, object]] | None = None
    message_id: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A message that arrived and has to be acknowledged or rejected.

    Attributes
    ----------
    queue
        Name of the queue from which it came.
    body
        The content; of a message that is too long to be anything of std-daq's, only the first `MAX_BODY_BYTES`.
    n_body_bytes
        Length of the content as it was sent.
    headers
        Headers of the message.
    correlation_id
        Id of the request that the message belongs to, if it has one. Bytes that are not UTF-8 are kept as surrogates,
        so that an answer can carry the same bytes.
    message_id
        Id of the message, if it has one; a repetition has the same id.
    is_redelivered
        Whether the broker has delivered the message before, to this or another consumer.
    sender
        What the publisher says of itself (``app_id``); of a std-daq program the name of its connection. Empty if it
        says nothing.
    tag
        Delivery tag: the number of the delivery in its session.
    session
        Number of the session in which it arrived. A later session cannot acknowledge it; the broker delivers the
        message again there.
    """

    queue: str
    body: bytes
    n_body_bytes: int
    headers: Mapping[str, object]
    correlation_id: str | None
    message_id: str | None
    is_redelivered: bool
    tag: int
    session: int
    sender: str = ""


def encode_properties(message: Message, name: str) -> pika.BasicProperties:
    """Return the AMQP properties of a message.

    Parameters
    ----------
    message
        The message to publish.
    name
        Name of the publisher.

    Raises
    ------
    BrokerError
        The message cannot be encoded. It is checked here, because sending it would break the connection, and after
        each reconnect would break the new one.
    """
    properties = pika.BasicProperties(
        content_type="application/json",
        delivery_mode=pika.DeliveryMode.Persistent.value,
        correlation_id=message.correlation_id.encode(errors="surrogateescape"),
        message_id=message.message_id,
        headers=dict(message.headers),
        timestamp=int(time.time()),
        app_id=name,
    )
    try:
        pika.spec.Basic.Publish(exchange=message.exchange, routing_key=message.routing_key).encode()
        _n_bytes(properties)
    except (pika.exceptions.AMQPError, ArithmeticError, AssertionError, TypeError, ValueError, struct.error) as error:
        raise BrokerError(f"a message to '{message.exchange}' cannot be encoded: {error!r}") from error
    return properties


def fit_into_frame(message: Message, name: str, frame_max: int) -> Message:
    """Return a message whose headers fit into a frame, with its headers shortened if need be.

    Parameters
    ----------
    message
        The message to publish.
    name
        Name of the publisher.
    frame_max
        Longest frame on the connection, in bytes; 0: no limit.

    Raises
    ------
    MessageRefusedError
        The headers do not fit. A frame that is too long makes the broker close the connection.
    """
    room = (frame_max or _MAX_FRAME_BYTES) - _FRAME_BYTES
    n_bytes = _n_bytes(encode_properties(message, name))
    if n_bytes > room and message.shorten is not None:
        n_others = _n_bytes(encode_properties(replace(message, headers={}), name))
        message = replace(message, headers=message.shorten(room - n_others))
        n_bytes = _n_bytes(encode_properties(message, name))
    if n_bytes > room:
        raise MessageRefusedError(
            f"the headers of a message to '{message.exchange}' have {n_bytes} bytes; the broker's frame_max "
            f"({frame_max}) leaves room for {room}"
        )
    return message


def _n_bytes(properties: pika.BasicProperties) -> int:
    return sum(len(piece) for piece in properties.encode())
