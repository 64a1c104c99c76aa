"""Exchanges and queues, and what each side of the conversation declares of them.

================ ============== ==========================================================================
exchange         type           carries
================ ============== ==========================================================================
``request``      topic          write requests; routing key = tag of the writer
``kill``         topic          kills of requests; routing key = tag of the writer
``status``       fanout         what became of each request
``refused``      topic          dead letters: requests that were refused, with their tag as routing key
================ ============== ==========================================================================

Each writer has the durable queues ``<tag>.request``, ``<tag>.kill`` and ``<tag>.refused``, of the type that is
the default of the virtual host: classic if nobody set another, quorum where the administrator of a cluster did.

Every declaration can be repeated, and is, after each connect.
"""

import re
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

import pika.exceptions
from pika.adapters.blocking_connection import BlockingChannel

from std_daq.errors import BrokerError

REQUEST = "request"
KILL = "kill"
STATUS = "status"
REFUSED = "refused"

MAX_REFUSED = 10_000
# A listener's queue outlives a cut of its connection and a restart of the broker, but not for ever.
LISTENER_EXPIRES_MS = 300_000

PRECONDITION_FAILED = 406
_TAG = re.compile(r"[A-Za-z0-9_.-]{1,100}")


class Topology(Protocol):
    """What a connection needs at the broker."""

    def declare(self, channel: BlockingChannel) -> list[str]:
        """Declare it and return the queues to consume."""

    def remove(self, channel: BlockingChannel) -> None:
        """Take away what nobody needs after this connection was closed on purpose."""


def check_tag(tag: str) -> str:
    """Return the tag of a writer if it can be a routing key.

    Raises
    ------
    BrokerError
        It has characters that mean something else in a topic, or none at all.
    """
    if _TAG.fullmatch(tag) is None:
        raise BrokerError(f"tag {tag!r}: letters, digits, '_', '.' and '-' only, at most 100 of them")
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


class ExchangesOnly:
    """Topology of who only publishes."""

    def declare(self, channel: BlockingChannel) -> list[str]:
        """Declare the exchanges."""
        for exchange in (REQUEST, KILL, REFUSED):
            _declare_exchange(channel, exchange, "topic")
        _declare_exchange(channel, STATUS, "fanout")
        return []

    def remove(self, channel: BlockingChannel) -> None:
        """Leave everything: others use it."""


class WriterQueues(ExchangesOnly):
    """Topology of the writer with a tag.

    Parameters
    ----------
    tag
        Routing key of its requests.
    """

    def __init__(self, tag: str) -> None:
        self._tag = check_tag(tag)

    def declare(self, channel: BlockingChannel) -> list[str]:
        """Declare exchanges and queues; requests and kills are consumed."""
        super().declare(channel)
        _declare_queue(channel, refused_queue(self._tag), {"x-max-length": MAX_REFUSED})
        _declare_queue(channel, request_queue(self._tag), {"x-dead-letter-exchange": REFUSED})
        _declare_queue(channel, kill_queue(self._tag), {})
        for exchange in (REQUEST, KILL, REFUSED):
            channel.queue_bind(f"{self._tag}.{exchange}", exchange, routing_key=self._tag)
        return [request_queue(self._tag), kill_queue(self._tag)]


class ListenerQueue(ExchangesOnly):
    """Topology of who listens to the statuses.

    The queue is not an exclusive one, because such a queue ends with its connection, and the statuses of an
    outage with it: a client would wait for ever for the end of its request.
    """

    def __init__(self) -> None:
        self.queue = f"{STATUS}.listener.{uuid.uuid4()}"

    def declare(self, channel: BlockingChannel) -> list[str]:
        """Declare exchanges and a queue that gets every status from now on."""
        super().declare(channel)
        _declare_queue(channel, self.queue, {"x-expires": LISTENER_EXPIRES_MS})
        channel.queue_bind(self.queue, STATUS)
        return [self.queue]

    def remove(self, channel: BlockingChannel) -> None:
        """Delete the queue."""
        channel.queue_delete(self.queue)


def _declare_exchange(channel: BlockingChannel, exchange: str, kind: str) -> None:
    remedy = f"delete it (rabbitmqadmin delete exchange name={exchange}) or use another virtual host"
    with _explained(f"exchange '{exchange}' cannot be declared as durable {kind}", remedy):
        channel.exchange_declare(exchange, exchange_type=kind, durable=True)


def _declare_queue(channel: BlockingChannel, queue: str, arguments: Mapping[str, object]) -> None:
    remedy = f"empty it, then delete it (rabbitmqctl delete_queue {queue}), or use another tag"
    with _explained(f"queue '{queue}' cannot be declared as durable with {arguments}", remedy):
        channel.queue_declare(queue, durable=True, arguments=dict(arguments))


@contextmanager
def _explained(problem: str, remedy: str) -> Iterator[None]:
    try:
        yield
    except pika.exceptions.ChannelClosedByBroker as error:
        if error.reply_code == PRECONDITION_FAILED:
            reason = f"it exists with other properties ({error.reply_text}); {remedy}"
        else:
            reason = f"{error.reply_text}; give the user rights to configure it (rabbitmqctl set_permissions)"
        raise BrokerError(f"{problem}: {reason}") from error
