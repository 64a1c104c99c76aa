"""What goes to the broker and comes from it."""

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

import pika
import pika.exceptions

from std_daq.errors import BrokerError

# Headers travel in one frame, of 131072 bytes in all unless the broker is set up otherwise.
MAX_HEADER_BYTES = 130_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is published.

    Attributes
    ----------
    exchange
        Where to.
    routing_key
        Who takes it.
    body
        The content.
    correlation_id
        Id of the request that it belongs to.
    headers
        Headers.
    is_mandatory
        Whether it is an error if no queue takes it.
    message_id
        The same for each repetition of the message.
    """

    exchange: str
    routing_key: str = ""
    body: bytes = b""
    correlation_id: str
    headers: Mapping[str, object] = field(default_factory=dict)
    is_mandatory: bool = False
    message_id: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What arrived and has to be settled.

    Attributes
    ----------
    queue
        From which queue.
    body
        The content.
    headers
        Headers.
    correlation_id
        Id of the request that it belongs to, if it has one.
    message_id
        Id of the message, if it has one: that of a repetition is the same.
    is_redelivered
        Whether somebody may have seen it before.
    tag
        Its number in its session.
    session
        In which session it came; later ones know nothing of it, and its message comes again.
    """

    queue: str
    body: bytes
    headers: Mapping[str, object]
    correlation_id: str | None
    message_id: str | None
    is_redelivered: bool
    tag: int
    session: int


def encode_properties(message: Message, name: str) -> pika.BasicProperties:
    """Return the properties of a message.

    Parameters
    ----------
    message
        What will be published.
    name
        Who publishes it.

    Raises
    ------
    BrokerError
        The message cannot be sent. Found out here, because it would break the connection, and each new one.
    """
    properties = pika.BasicProperties(
        content_type="application/json",
        delivery_mode=pika.DeliveryMode.Persistent.value,
        correlation_id=message.correlation_id,
        message_id=message.message_id,
        headers=dict(message.headers),
        timestamp=int(time.time()),
        app_id=name,
    )
    try:
        pika.spec.Basic.Publish(exchange=message.exchange, routing_key=message.routing_key).encode()
        n_bytes = sum(len(piece) for piece in properties.encode())
    except (pika.exceptions.AMQPError, AssertionError, ValueError) as error:
        raise BrokerError(f"a message to '{message.exchange}' cannot be encoded: {error!r}") from error
    if n_bytes > MAX_HEADER_BYTES:
        raise BrokerError(f"headers of {n_bytes} bytes are more than the {MAX_HEADER_BYTES} that a message holds")
    return properties
