"""The definitions that RabbitMQ loads at its start (``load_definitions``): users, rights, exchanges and queues."""

import base64
import binascii
import hashlib
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from std_daq.amqp.topology import EXCHANGES, LISTENER_PREFIX, QueueType, writer_queues
from std_daq.rabbitmq.roles import Role, all_roles

SALT_BYTES = 4
MAX_WAITING_REQUESTS = 10_000
MAX_WAITING_STATUSES = 100_000
# A request may have 1 MiB, and each status repeats it: a limit of their number alone would let them fill a disk.
MAX_QUEUE_BYTES = 256 << 20


def make_definitions(
    tags: Sequence[str], vhost: str, password_hashes: Mapping[str, str], queue_type: QueueType = "default"
) -> dict[str, Any]:
    """Return the definitions as a JSON document.

    The queues are those that the writer agents declare, with the same arguments. Quorum queues are left out: a node
    loads the definitions before the other nodes have joined the cluster, and a quorum queue that is declared at that
    moment has one replica only.

    Parameters
    ----------
    tags
        Tags of the detectors.
    vhost
        Virtual host of all exchanges, queues and rights.
    password_hashes
        Hash of each role's password, by name of the role.
    queue_type
        Type of the queues.
    """
    roles = all_roles(tags)
    queues = [(tag, queue) for tag in tags for queue in writer_queues(tag, queue_type) if queue_type != "quorum"]
    return {
        "vhosts": [{"name": vhost}],
        "users": [_user(role, password_hashes[role.name]) for role in roles],
        "permissions": [
            {"user": role.name, "vhost": vhost, "configure": role.configure, "write": role.write, "read": role.read}
            for role in roles
        ],
        "topic_permissions": [
            {"user": role.name, "vhost": vhost, "exchange": exchange, "write": rights.write, "read": rights.read}
            for role in roles
            for exchange, rights in role.topics.items()
        ],
        "policies": _policies(vhost),
        "exchanges": [
            {
                "name": exchange,
                "vhost": vhost,
                "type": kind,
                "durable": True,
                "auto_delete": False,
                "internal": False,
                "arguments": {},
            }
            for exchange, kind in EXCHANGES.items()
        ],
        "queues": [
            {
                "name": queue.name,
                "vhost": vhost,
                "durable": True,
                "auto_delete": False,
                "arguments": dict(queue.arguments),
            }
            for _, queue in queues
        ],
        "bindings": [
            {
                "source": queue.exchange,
                "vhost": vhost,
                "destination": queue.name,
                "destination_type": "queue",
                "routing_key": tag,
                "arguments": {},
            }
            for tag, queue in queues
        ],
    }


def hash_password(password: str, salt: bytes | None = None) -> str:
    """Return RabbitMQ's hash of a password: base64 of the salt, followed by the SHA-256 of salt and password."""
    salt = secrets.token_bytes(SALT_BYTES) if salt is None else salt
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def is_hash_of(password: str, password_hash: str) -> bool:
    """Return whether a hash is the hash of a password, whatever its salt."""
    try:
        salt = base64.b64decode(password_hash, validate=True)[:SALT_BYTES]
    except (binascii.Error, ValueError):
        return False
    return secrets.compare_digest(hash_password(password, salt), password_hash)


def _user(role: Role, password_hash: str) -> dict[str, Any]:
    return {
        "name": role.name,
        "password_hash": password_hash,
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        "tags": list(role.tags),
        "limits": {},
    }


def _policies(vhost: str) -> list[dict[str, Any]]:
    """Return the limits of the queues, so that neither a flood of requests nor a stopped listener fills the broker."""
    return [
        {
            "vhost": vhost,
            "name": "std-daq-requests",
            "pattern": r"\.(request|kill)$",
            "apply-to": "queues",
            "definition": {
                "max-length": MAX_WAITING_REQUESTS,
                "max-length-bytes": MAX_QUEUE_BYTES,
                "overflow": "reject-publish",
            },
            "priority": 0,
        },
        {
            "vhost": vhost,
            "name": "std-daq-listeners",
            "pattern": "^" + LISTENER_PREFIX.replace(".", r"\."),
            "apply-to": "queues",
            "definition": {"max-length": MAX_WAITING_STATUSES, "max-length-bytes": MAX_QUEUE_BYTES},
            "priority": 0,
        },
        {
            "vhost": vhost,
            "name": "std-daq-refused",
            "pattern": r"\.refused$",
            "apply-to": "queues",
            "definition": {"max-length-bytes": MAX_QUEUE_BYTES},
            "priority": 0,
        },
    ]
