"""Who may do what at the broker: one user for each role, with the rights that its side of the conversation needs.

RabbitMQ's rights are three regular expressions over the names of exchanges and queues: what a user may configure
(declare, delete), write (publish to, bind a queue) and read (consume, bind an exchange). On topic exchanges a second
pair of expressions limits the routing keys with which it may publish and bind.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from std_daq.amqp.topology import (
    KILL,
    LISTENER_PREFIX,
    REFUSED,
    REQUEST,
    STATUS,
    check_tag,
    kill_queue,
    refused_queue,
    request_queue,
)

NOTHING = "^$"
EVERYTHING = ".*"


@dataclass(frozen=True, slots=True)
class TopicRights:
    """Routing keys of one topic exchange, as regular expressions: to publish with, and to bind with."""

    write: str
    read: str


@dataclass(frozen=True, slots=True)
class Role:
    """A user of the broker.

    Attributes
    ----------
    name
        Of the user.
    purpose
        Who it is.
    configure, write, read
        Its rights, as regular expressions.
    topics
        Its rights on topic exchanges, by exchange.
    tags
        What it may do with RabbitMQ's management.
    """

    name: str
    purpose: str
    configure: str = NOTHING
    write: str = NOTHING
    read: str = NOTHING
    topics: Mapping[str, TopicRights] = field(default_factory=dict)
    tags: tuple[str, ...] = ()


def agent_role(tag: str) -> Role:
    """Return the role of a writer agent: its own queues, the requests and kills of its tag, all statuses."""
    own_key = _any_of(check_tag(tag))
    consumed = (request_queue(tag), kill_queue(tag))
    own = (*consumed, refused_queue(tag))
    return Role(
        f"{tag}-agent",
        f"writer agent of {tag}",
        configure=_any_of(*own),
        write=_any_of(STATUS, REFUSED, *own),
        read=_any_of(REQUEST, KILL, REFUSED, *consumed),
        topics={exchange: TopicRights(write=NOTHING, read=own_key) for exchange in (REQUEST, KILL, REFUSED)},
    )


def client_role(tag: str) -> Role:
    """Return the role of who has images written: requests and kills of one tag, and to hear statuses."""
    own_key = _any_of(check_tag(tag))
    return Role(
        f"{tag}-client",
        f"who has images of {tag} written",
        configure=_listeners(),
        write=_listeners(REQUEST, KILL),
        read=_listeners(STATUS),
        topics={exchange: TopicRights(write=own_key, read=NOTHING) for exchange in (REQUEST, KILL)},
    )


def listener_role() -> Role:
    """Return the role of who only hears statuses, those of all detectors."""
    return Role(
        "listener", "who only hears statuses", configure=_listeners(), write=_listeners(), read=_listeners(STATUS)
    )


def monitor_role() -> Role:
    """Return the role of who looks at the broker with RabbitMQ's management, and takes no part."""
    return Role("monitor", "who looks at the broker", tags=("monitoring",))


def admin_role() -> Role:
    """Return the role of the administrator."""
    return Role(
        "admin",
        "administrator of the broker",
        configure=EVERYTHING,
        write=EVERYTHING,
        read=EVERYTHING,
        tags=("administrator",),
    )


def all_roles(tags: Sequence[str]) -> list[Role]:
    """Return the roles at a broker of the detectors with these tags."""
    of_tags = [role for tag in tags for role in (agent_role(tag), client_role(tag))]
    return [*of_tags, listener_role(), monitor_role(), admin_role()]


def _any_of(*names: str) -> str:
    escaped = [re.escape(name) for name in names]
    return f"^{escaped[0]}$" if len(escaped) == 1 else f"^({'|'.join(escaped)})$"


def _listeners(*names: str) -> str:
    """Return what matches the listeners' queues, and some names."""
    listener = f"{re.escape(LISTENER_PREFIX)}.+"
    return f"^({'|'.join([*map(re.escape, names), listener])})$"
