"""Users of the broker and their rights: one user for each role, with the rights that the role needs.

A user's rights in RabbitMQ are three regular expressions for names of exchanges and queues:

- *configure*: what the user may declare and delete;
- *write*: the exchanges it may publish to, and the queues it may bind;
- *read*: the queues it may consume, and the exchanges it may bind to.

For topic exchanges, two more expressions limit the routing keys with which the user may publish and bind.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from std_daq.amqp.topology import (
    KILL,
    LISTENER_PREFIX,
    PROBE_KEY,
    REFUSED,
    REQUEST,
    STATUS,
    VALUE,
    check_tag,
    kill_queue,
    owner_queue,
    refused_queue,
    request_queue,
    value_queue,
)

NOTHING = "^$"
EVERYTHING = ".*"


@dataclass(frozen=True, slots=True)
class TopicRights:
    """Regular expressions for the routing keys of a topic exchange: to publish with (write), to bind with (read)."""

    write: str
    read: str


@dataclass(frozen=True, slots=True)
class Role:
    """A user of the broker.

    Attributes
    ----------
    name
        Name of the user.
    purpose
        What the user is for, as ``std-daq broker-setup`` prints it.
    configure, write, read
        Rights of the user, as regular expressions.
    topics
        Rights on topic exchanges, by exchange.
    tags
        RabbitMQ's tags of the user, which say what it may do with RabbitMQ's management.
    """

    name: str
    purpose: str
    configure: str = NOTHING
    write: str = NOTHING
    read: str = NOTHING
    topics: Mapping[str, TopicRights] = field(default_factory=dict)
    tags: tuple[str, ...] = ()


def agent_role(tag: str) -> Role:
    """Return the role of a writer agent: it owns and consumes its queues, and publishes statuses."""
    own_key = _any_of(check_tag(tag))
    consumed = (request_queue(tag), kill_queue(tag), value_queue(tag))
    own = (*consumed, refused_queue(tag))
    return Role(
        f"{tag}-agent",
        f"writer agent of {tag}",
        configure=_any_of(*own, owner_queue(tag)),
        write=_any_of(STATUS, REFUSED, *own),
        read=_any_of(REQUEST, KILL, REFUSED, VALUE, *consumed),
        topics={
            REQUEST: TopicRights(write=NOTHING, read=own_key),
            KILL: TopicRights(write=NOTHING, read=own_key),
            REFUSED: TopicRights(write=_any_of(PROBE_KEY), read=own_key),
            VALUE: TopicRights(write=NOTHING, read=own_key),
        },
    )


def client_role(tag: str) -> Role:
    """Return the role of a client, which sends requests, kills and values to one writer and receives statuses."""
    own_key = _any_of(check_tag(tag))
    return Role(
        f"{tag}-client",
        f"client that has images of {tag} written",
        configure=_listeners(),
        write=_listeners(REQUEST, KILL, VALUE),
        read=_listeners(STATUS),
        topics={
            REQUEST: TopicRights(write=_any_of(tag, PROBE_KEY), read=NOTHING),
            KILL: TopicRights(write=own_key, read=NOTHING),
            VALUE: TopicRights(write=own_key, read=NOTHING),
        },
    )


def listener_role() -> Role:
    """Return the role of a listener, which only receives statuses, those of all detectors."""
    return Role(
        "listener",
        "client that only receives statuses",
        configure=_listeners(),
        write=_listeners(),
        read=_listeners(STATUS),
    )


def monitor_role() -> Role:
    """Return the role of a user who watches the broker with RabbitMQ's management and handles no messages."""
    return Role("monitor", "person who watches the broker", tags=("monitoring",))


def admin_role() -> Role:
    """Return the role of the broker's administrator, who has all rights."""
    return Role(
        "admin",
        "administrator of the broker",
        configure=EVERYTHING,
        write=EVERYTHING,
        read=EVERYTHING,
        tags=("administrator",),
    )


def all_roles(tags: Sequence[str]) -> list[Role]:
    """Return all roles at a broker that serves the detectors with these tags."""
    of_tags = [role for tag in tags for role in (agent_role(tag), client_role(tag))]
    return [*of_tags, listener_role(), monitor_role(), admin_role()]


def _any_of(*names: str) -> str:
    escaped = [re.escape(name) for name in names]
    return f"^{escaped[0]}$" if len(escaped) == 1 else f"^({'|'.join(escaped)})$"


def _listeners(*names: str) -> str:
    """Return a regular expression for the names of listeners' queues, and for some other names."""
    listener = f"{re.escape(LISTENER_PREFIX)}.+"
    return f"^({'|'.join([*map(re.escape, names), listener])})$"
