"""Exchanges and queues, and what each side of the conversation declares of them.

================ ============== ==========================================================================
exchange         type           carries
================ ============== ==========================================================================
``request``      topic          write requests; routing key = tag of the writer
``kill``         topic          kills of requests; routing key = tag of the writer
``status``       fanout         what became of each request
``refused``      topic          dead letters: requests that were refused, with their tag as routing key
================ ============== ==========================================================================

Each writer has the durable queues ``<tag>.request``, ``<tag>.kill`` and ``<tag>.refused``. Who owns something declares
it: the writer the exchanges and its queues, a listener its own queue; who only publishes declares nothing.

Every declaration can be repeated, and is, after each connect.
"""

import re
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, Protocol

import pika
import pika.exceptions
from pika.adapters.blocking_connection import BlockingChannel

from std_daq.amqp.failures import ACCESS_REFUSED, NOT_FOUND, PRECONDITION_FAILED
from std_daq.errors import BrokerError, MissingExchangeError

REQUEST = "request"
KILL = "kill"
STATUS = "status"
REFUSED = "refused"
EXCHANGES = {REQUEST: "topic", KILL: "topic", STATUS: "fanout", REFUSED: "topic"}

QueueType = Literal["default", "classic", "quorum"]

LISTENER_PREFIX = "status.listener."
MAX_REFUSED = 10_000
# A listener's queue outlives a cut of its connection and a restart of the broker, but not for ever.
LISTENER_EXPIRES_MS = 300_000
# From RabbitMQ 4 on, a quorum queue gives up a message that was taken and not settled 20 times, as by an agent that is
# killed so often; a request must outlive that. "No limit" cannot be said to older ones.
MANY_DELIVERIES = 1_000_000

_TAG = re.compile(r"[A-Za-z0-9_.-]{1,100}")


class Topology(Protocol):
    """What a connection needs at the broker."""

    def declare(self, channel: BlockingChannel) -> list[str]:
        """Declare it and return the queues to consume."""

    def remove(self, channel: BlockingChannel) -> None:
        """Take away what nobody needs after this connection was closed on purpose."""


@dataclass(frozen=True, slots=True)
class Queue:
    """A durable queue.

    Attributes
    ----------
    name
        Its name.
    exchange
        What it is bound to.
    arguments
        With what it is declared; whoever declares it with others is refused.
    """

    name: str
    exchange: str
    arguments: Mapping[str, str | int]


def check_tag(tag: str) -> str:
    """Return the tag of a writer if it can be a routing key.

    Raises
    ------
    BrokerError
        It has characters that mean something else in a topic, or none at all, or its queues would look like listeners'.
    """
    if _TAG.fullmatch(tag) is None:
        raise BrokerError(f"tag {tag!r}: letters, digits, '_', '.' and '-' only, at most 100 of them")
    if tag.startswith(LISTENER_PREFIX):
        raise BrokerError(f"tag {tag!r}: names that begin with {LISTENER_PREFIX!r} are those of listeners' queues")
    return tag


def request_queue(tag: str) -> str:
    """Return the name of the queue of a writer's requests."""
    return f"{tag}.{REQUEST}"


def kill_queue(tag: str) -> str:
    """Return the name of the queue of the kills for a writer."""
    return f"{tag}.{KILL}"


def refused_queue(tag: str) -> str:
    """Return the name of the queue of what a writer refused."""
    return f"{tag}.{REFUSED}"


def writer_queues(tag: str, queue_type: QueueType = "default") -> tuple[Queue, ...]:
    """Return the queues of the writer with a tag, in the order of their declaration."""
    of_type = _type_arguments(queue_type)
    kept = {"x-delivery-limit": MANY_DELIVERIES} if queue_type == "quorum" else {}
    return (
        Queue(refused_queue(tag), REFUSED, {**of_type, "x-max-length": MAX_REFUSED}),
        Queue(request_queue(tag), REQUEST, {**of_type, **kept, "x-dead-letter-exchange": REFUSED}),
        Queue(kill_queue(tag), KILL, {**of_type, **kept}),
    )


class NothingOwned:
    """Topology of who only publishes."""

    def declare(self, channel: BlockingChannel) -> list[str]:  # noqa: ARG002 -- as the protocol has it
        """Declare nothing: the writer owns the exchanges."""
        return []

    def remove(self, channel: BlockingChannel) -> None:
        """Leave everything."""


class WriterQueues:
    """Topology of the writer with a tag.

    Parameters
    ----------
    tag
        Routing key of its requests.
    queue_type
        Type of its queues; default: that of the virtual host.
    """

    def __init__(self, tag: str, queue_type: QueueType = "default") -> None:
        self._tag = check_tag(tag)
        self._queue_type = queue_type

    def declare(self, channel: BlockingChannel) -> list[str]:
        """Declare exchanges and queues; requests and kills are consumed."""
        for exchange, kind in EXCHANGES.items():
            _declare_exchange(channel.connection, exchange, kind)
        for queue in writer_queues(self._tag, self._queue_type):
            _declare_queue(channel, queue)
            _bind(channel, queue, routing_key=self._tag)
        return [request_queue(self._tag), kill_queue(self._tag)]

    def remove(self, channel: BlockingChannel) -> None:
        """Leave everything: requests wait in it for the next start."""


class ListenerQueue:
    """Topology of who listens to the statuses.

    The queue is not an exclusive one, because such a queue ends with its connection, and the statuses of an
    outage with it: a client would wait for ever for the end of its request. For the same reason it has the type of
    the writer's queues: on a cluster, a classic one is away with its node.

    Parameters
    ----------
    queue_type
        Type of the queue; default: that of the virtual host.
    """

    def __init__(self, queue_type: QueueType = "default") -> None:
        self.queue = f"{LISTENER_PREFIX}{uuid.uuid4()}"
        self._arguments = {**_type_arguments(queue_type), "x-expires": LISTENER_EXPIRES_MS}

    def declare(self, channel: BlockingChannel) -> list[str]:
        """Declare a queue that gets every status from now on."""
        queue = Queue(self.queue, STATUS, self._arguments)
        _declare_queue(channel, queue)
        _bind(channel, queue, routing_key="")
        return [self.queue]

    def remove(self, channel: BlockingChannel) -> None:
        """Delete the queue."""
        channel.queue_delete(self.queue)


def explain_missing_exchange(exchange: str) -> str:
    """Return what to do where an exchange does not exist."""
    return (
        f"there is no exchange '{exchange}' here yet: start the writer agent, which declares it, or have the broker "
        "load the definitions of 'std-daq broker-setup'"
    )


def _type_arguments(queue_type: QueueType) -> dict[str, str | int]:
    return {} if queue_type == "default" else {"x-queue-type": queue_type}


def _declare_exchange(connection: pika.BlockingConnection, exchange: str, kind: str) -> None:
    """Declare an exchange; a user who may not do so uses the one that is there."""
    try:
        _on_own_channel(connection, exchange, kind, is_passive=False)
    except pika.exceptions.ChannelClosedByBroker as refused:
        if refused.reply_code == PRECONDITION_FAILED:
            raise BrokerError(
                f"exchange '{exchange}' cannot be declared as durable {kind}: it exists with other properties "
                f"({refused.reply_text}); delete it (rabbitmqadmin delete exchange name={exchange}) or use another "
                "virtual host"
            ) from refused
        if refused.reply_code != ACCESS_REFUSED:
            raise
        with _exchange_needed(exchange):
            _on_own_channel(connection, exchange, kind, is_passive=True)


def _on_own_channel(connection: pika.BlockingConnection, exchange: str, kind: str, *, is_passive: bool) -> None:
    # The broker closes the channel of a declaration that it refuses.
    with connection.channel() as channel:
        channel.exchange_declare(exchange, exchange_type=kind, durable=True, passive=is_passive)


def _declare_queue(channel: BlockingChannel, queue: Queue) -> None:
    problem = f"queue '{queue.name}' cannot be declared as durable with {queue.arguments}"
    try:
        channel.queue_declare(queue.name, durable=True, arguments=dict(queue.arguments))
    except pika.exceptions.ChannelClosedByBroker as error:
        if error.reply_code == PRECONDITION_FAILED:
            raise BrokerError(
                f"{problem}: it exists with other properties ({error.reply_text}); set broker.queue_type to its type, "
                f"or empty it, then delete it (rabbitmqctl delete_queue {queue.name}), or use another tag"
            ) from error
        if error.reply_code == ACCESS_REFUSED:
            raise BrokerError(
                f"{problem}: {error.reply_text}; give the user rights to configure it (rabbitmqctl set_permissions)"
            ) from error
        raise


def _bind(channel: BlockingChannel, queue: Queue, routing_key: str) -> None:
    with _exchange_needed(queue.exchange):
        channel.queue_bind(queue.name, queue.exchange, routing_key=routing_key)


@contextmanager
def _exchange_needed(exchange: str) -> Iterator[None]:
    try:
        yield
    except pika.exceptions.ChannelClosedByBroker as error:
        if error.reply_code == NOT_FOUND:
            raise MissingExchangeError(explain_missing_exchange(exchange)) from error
        if error.reply_code == ACCESS_REFUSED:
            raise BrokerError(
                f"{error.reply_text}; give the user the rights of its role (see the page on the broker)"
            ) from error
        raise
