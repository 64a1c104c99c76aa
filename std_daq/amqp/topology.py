"""Exchanges and queues, and which of them writers, clients and listeners declare.

================ ============== ==========================================================================
exchange         type           carries
================ ============== ==========================================================================
``request``      topic          write requests; routing key = tag of the writer
``kill``         topic          kills of requests; routing key = tag of the writer
``status``       fanout         statuses of all requests: accepted, started, progress, end
``refused``      topic          dead letters: requests that a writer refused; routing key = tag of the writer
``value``        topic          what other programs measure; routing key = tag of the writer
================ ============== ==========================================================================

Each writer has the durable queues ``<tag>.request``, ``<tag>.kill`` and ``<tag>.refused``, and ``<tag>.value`` if its
configuration names measured values. The owner of an exchange or
queue declares it: the writer declares the exchanges and its own queues, a listener declares its own queue, and a
client that only publishes declares nothing.

The queue ``<tag>.owner`` carries nothing. It is exclusive to the connection of the agent that consumes requests and
kills, and so is a lock: while it exists, the broker lets no other agent of this tag consume.

Declarations are idempotent; they are repeated after each connect.
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

from std_daq.amqp.failures import ACCESS_REFUSED, NOT_FOUND, PRECONDITION_FAILED, RESOURCE_LOCKED
from std_daq.errors import BrokerError, ConfigError, MissingExchangeError, TagTakenError

REQUEST = "request"
KILL = "kill"
STATUS = "status"
REFUSED = "refused"
OWNER = "owner"
VALUE = "value"
EXCHANGES = {REQUEST: "topic", KILL: "topic", STATUS: "fanout", REFUSED: "topic", VALUE: "topic"}

QueueType = Literal["default", "classic", "quorum"]

# Routing key of probes (see std_daq.amqp.publisher). No tag, and therefore no queue, has this key.
PROBE_KEY = "?"

LISTENER_PREFIX = "status.listener."
# Who may send requests may send wrong ones, and long ones: the newest are kept that fit into both.
MAX_REFUSED = 10_000
MAX_REFUSED_BYTES = 64 * 2**20
# Values are small and come often; of those that nobody takes, the newest are kept.
MAX_VALUES = 10_000
MAX_VALUES_BYTES = 16 * 2**20
FEW = 4
MANY = 16
# A listener's queue survives a broken connection and a restart of the broker; unused for 5 minutes, it is deleted.
LISTENER_EXPIRES_MS = 300_000
# From RabbitMQ 4 on, a quorum queue drops a message that was delivered 20 times without acknowledgement, for example
# to an agent that was killed 20 times. A request must survive that. Older versions have no value for "no limit".
MANY_DELIVERIES = 1_000_000

_TAG = re.compile(r"[A-Za-z0-9_.-]{1,100}")


class Topology(Protocol):
    """The exchanges and queues that a connection needs at the broker.

    Attributes
    ----------
    probe_exchange
        Exchange to which the connection may send probes (see `std_daq.amqp.publisher`).
    """

    probe_exchange: str

    def prefetch_of(self, queue: str) -> int:
        """Return how many messages of a queue may wait in this process for their acknowledgement."""

    def declare(self, channel: BlockingChannel) -> list[str]:
        """Declare them, and return the names of the queues to consume."""

    def remove(self, channel: BlockingChannel) -> None:
        """Delete what nobody needs after this connection was closed on purpose."""


@dataclass(frozen=True, slots=True)
class Queue:
    """A durable queue.

    Attributes
    ----------
    name
        Name of the queue.
    exchange
        Exchange that the queue is bound to.
    arguments
        Arguments of the declaration; the broker refuses a declaration of the same queue with other arguments.
    """

    name: str
    exchange: str
    arguments: Mapping[str, str | int]


def check_tag(tag: str) -> str:
    """Return the tag of a writer if it can be a routing key.

    Raises
    ------
    ConfigError
        The tag is empty or too long, contains a character that is not allowed (``*`` and ``#`` are wildcards in a
        topic), or begins like the name of a listener's queue.
    """
    if _TAG.fullmatch(tag) is None:
        problem = "a tag has 1 to 100 letters, digits, '_', '.' and '-'"
        raise ConfigError(problem, key="broker.tag", value=tag)
    if tag.startswith(LISTENER_PREFIX):
        problem = f"names that begin with {LISTENER_PREFIX!r} are reserved for listeners' queues"
        raise ConfigError(problem, key="broker.tag", value=tag)
    return tag


def request_queue(tag: str) -> str:
    """Return the name of the queue of requests for a writer."""
    return f"{tag}.{REQUEST}"


def kill_queue(tag: str) -> str:
    """Return the name of the queue of kills for a writer."""
    return f"{tag}.{KILL}"


def owner_queue(tag: str) -> str:
    """Return the name of the queue that only one agent can have."""
    return f"{tag}.{OWNER}"


def refused_queue(tag: str) -> str:
    """Return the name of the queue of requests that a writer refused."""
    return f"{tag}.{REFUSED}"


def value_queue(tag: str) -> str:
    """Return the name of the queue of measured values for a writer."""
    return f"{tag}.{VALUE}"


def values_queue(tag: str) -> Queue:
    """Return the queue of measured values; a classic one, which is cheap, since a lost value is no lost image."""
    few: dict[str, str | int] = {
        "x-max-length": MAX_VALUES,
        "x-max-length-bytes": MAX_VALUES_BYTES,
        "x-overflow": "drop-head",
    }
    return Queue(value_queue(tag), VALUE, {**few, "x-queue-type": "classic"})


def writer_queues(tag: str, queue_type: QueueType = "default") -> tuple[Queue, ...]:
    """Return the queues of a writer, in the order of their declaration."""
    of_type = _type_arguments(queue_type)
    few = {"x-max-length": MAX_REFUSED, "x-max-length-bytes": MAX_REFUSED_BYTES}
    kept = {"x-delivery-limit": MANY_DELIVERIES} if queue_type == "quorum" else {}
    return (
        Queue(refused_queue(tag), REFUSED, {**of_type, **few}),
        Queue(request_queue(tag), REQUEST, {**of_type, **kept, "x-dead-letter-exchange": REFUSED}),
        Queue(kill_queue(tag), KILL, {**of_type, **kept}),
    )


class NothingOwned:
    """Topology of a client that only publishes."""

    probe_exchange = REQUEST

    def prefetch_of(self, queue: str) -> int:  # noqa: ARG002 -- the protocol has this parameter
        """Return 1; there is no queue."""
        return 1

    def declare(self, channel: BlockingChannel) -> list[str]:  # noqa: ARG002 -- the protocol has this parameter
        """Declare nothing: the writer owns the exchanges."""
        return []

    def remove(self, channel: BlockingChannel) -> None:
        """Delete nothing."""


class WriterQueues:
    """Topology of a writer.

    Parameters
    ----------
    tag
        The writer's tag, the routing key of its requests.
    queue_type
        Type of the queues; ``default`` is the default type of the virtual host.
    takes_values
        Whether the writer takes measured values.
    """

    probe_exchange = REFUSED

    def __init__(self, tag: str, queue_type: QueueType = "default", *, takes_values: bool = False) -> None:
        self._tag = check_tag(tag)
        self._queue_type = queue_type
        self._takes_values = takes_values

    def prefetch_of(self, queue: str) -> int:
        """Return a number that is small: somebody may send messages that fill the memory."""
        return MANY if queue == value_queue(self._tag) else FEW

    def declare(self, channel: BlockingChannel) -> list[str]:
        """Declare the exchanges and the writer's queues; return the queues to consume.

        Raises
        ------
        TagTakenError
            Another agent has this tag.
        """
        _become_owner(channel, self._tag)
        for exchange, kind in EXCHANGES.items():
            if exchange != VALUE or self._takes_values:
                _declare_exchange(channel.connection, exchange, kind)
        values = (values_queue(self._tag),) if self._takes_values else ()
        for queue in (*writer_queues(self._tag, self._queue_type), *values):
            _declare_queue(channel, queue)
            _bind(channel, queue, routing_key=self._tag)
        return [request_queue(self._tag), kill_queue(self._tag), *(queue.name for queue in values)]

    def remove(self, channel: BlockingChannel) -> None:
        """Delete nothing: requests wait in the queues for the next start of the writer."""


class ListenerQueue:
    """Topology of a listener, which receives the statuses of all requests.

    The queue is not exclusive. The broker deletes an exclusive queue when its connection breaks, and with it the
    statuses that were published during the outage: a client could wait for ever for the end of its request. For the
    same reason the queue has the same type as the writer's queues: in a cluster, a classic queue is unavailable while
    its node is down.

    Parameters
    ----------
    queue_type
        Type of the queue; ``default`` is the default type of the virtual host.
    """

    probe_exchange = REQUEST

    def __init__(self, queue_type: QueueType = "default") -> None:
        self.queue = f"{LISTENER_PREFIX}{uuid.uuid4()}"
        self._arguments = {**_type_arguments(queue_type), "x-expires": LISTENER_EXPIRES_MS}

    def prefetch_of(self, queue: str) -> int:  # noqa: ARG002 -- there is one queue
        """Return how many statuses may wait in this process."""
        return MANY

    def declare(self, channel: BlockingChannel) -> list[str]:
        """Declare the queue, which receives all statuses from now on; return its name."""
        queue = Queue(self.queue, STATUS, self._arguments)
        _declare_queue(channel, queue)
        _bind(channel, queue, routing_key="")
        return [self.queue]

    def remove(self, channel: BlockingChannel) -> None:
        """Delete the queue."""
        channel.queue_delete(self.queue)


def explain_missing_exchange(exchange: str) -> str:
    """Return a message that says which exchange does not exist and what to do."""
    return (
        f"there is no exchange '{exchange}' at the broker yet: start the writer agent, which declares it, or load the "
        "definitions of 'std-daq broker-setup' into the broker"
    )


def _type_arguments(queue_type: QueueType) -> dict[str, str | int]:
    return {} if queue_type == "default" else {"x-queue-type": queue_type}


def _declare_exchange(connection: pika.BlockingConnection, exchange: str, kind: str) -> None:
    """Declare an exchange; if the user has no right to declare it, check that it exists."""
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
    # The broker closes the channel if it refuses the declaration.
    with connection.channel() as channel:
        channel.exchange_declare(exchange, exchange_type=kind, durable=True, passive=is_passive)


def _become_owner(channel: BlockingChannel, tag: str) -> None:
    """Declare the queue that is exclusive to a connection.

    An exclusive consumer would lock one queue only, and no queue of type quorum; a single active consumer could have
    one agent take the requests and another one the kills. This lock is for both, and ends when the connection ends,
    which is when its consumers end.
    """
    name = owner_queue(tag)
    try:
        with channel.connection.channel() as own:
            # A policy of the broker must not turn it into a queue that outlives the connection.
            own.queue_declare(name, exclusive=True, arguments={"x-queue-type": "classic"})
    except pika.exceptions.ChannelClosedByBroker as error:
        if error.reply_code == RESOURCE_LOCKED:
            raise TagTakenError(
                f"another writer agent with the tag {tag!r} is connected to this broker, so this one takes no requests "
                "yet (rabbitmqctl list_connections user peer_host client_properties shows it). End it, or give this "
                "system a broker.tag of its own. If it was cut off, the broker notices within a minute, and this one "
                "goes on"
            ) from error
        if error.reply_code == ACCESS_REFUSED:
            raise BrokerError(
                f"queue '{name}' cannot be declared: {error.reply_text}; give the user rights to configure the queue "
                "(std-daq broker-setup writes them)"
            ) from error
        raise


def _declare_queue(channel: BlockingChannel, queue: Queue) -> None:
    problem = f"queue '{queue.name}' cannot be declared as durable with {queue.arguments}"
    try:
        channel.queue_declare(queue.name, durable=True, arguments=dict(queue.arguments))
    except pika.exceptions.ChannelClosedByBroker as error:
        if error.reply_code == PRECONDITION_FAILED:
            of_type = "set broker.queue_type to its type, or " if "x-queue-type" in error.reply_text else ""
            raise BrokerError(
                f"{problem}: it exists with other properties ({error.reply_text}); {of_type}delete it once "
                f"(rabbitmqctl delete_queue {queue.name}): it is made anew, and what waits in it is lost. Or use "
                "another tag"
            ) from error
        if error.reply_code == ACCESS_REFUSED:
            raise BrokerError(
                f"{problem}: {error.reply_text}; give the user rights to configure the queue "
                "(rabbitmqctl set_permissions)"
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
                f"{error.reply_text}; give the user the rights of its role (see docs/reference/broker.md)"
            ) from error
        raise
