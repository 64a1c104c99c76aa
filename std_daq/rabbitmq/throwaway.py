"""A throwaway RabbitMQ node for the demo, for ``std-daq up`` without a broker URL, and for tests."""

import secrets
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pika

from std_daq.amqp.address import BrokerAddress
from std_daq.rabbitmq.node import START_TIMEOUT_S, RabbitNode, find_server
from std_daq.rabbitmq.ports import HOST, ReservedPort

USER = "std-daq"

CONFIGURATION = """\
listeners.tcp.1 = {host}:{port}
default_user = {user}
default_pass = {password}
log.file = rabbit.log
log.console = false
vm_memory_high_watermark.absolute = 512MB
disk_free_limit.absolute = 50MB
"""


class ThrowawayBroker(RabbitNode):
    """Context manager: a RabbitMQ node with its own ports, folder, user and password.

    Parameters
    ----------
    start_timeout_s
        Longest wait until the node accepts connections, in seconds; normally it takes about 5 s.
    more
        Further lines of the node's rabbitmq.conf.
    """

    def __init__(self, start_timeout_s: float = START_TIMEOUT_S, *, more: str = "") -> None:
        find_server()
        self._port = ReservedPort()
        port, password = self._port.number, secrets.token_urlsafe(16)
        self._url = f"amqp://{USER}:{password}@{HOST}:{port}/%2F"
        super().__init__(
            Path(tempfile.mkdtemp(prefix="std-daq-broker-")),
            CONFIGURATION.format(host=HOST, port=port, user=USER, password=password) + more,
            lambda: check_node(self._url, port),
            start_timeout_s=start_timeout_s,
        )

    def close(self) -> None:
        """Kill the node, remove its folder, and let others have its ports."""
        super().close()
        self._port.release()

    @property
    def url(self) -> str:
        """URL of the node, with user and password."""
        return self._url

    @property
    def address(self) -> BrokerAddress:
        """Address of the node."""
        return BrokerAddress((self._url,))


def check_node(url: str, port: int, host: str = HOST) -> None:
    """Connect to a node; raises one of `CONNECTION_FAILURES` if this fails.

    A plain TCP connection comes first, because it fails at once where pika retries and logs many lines.
    """
    socket.create_connection((host, port), timeout=1.0).close()
    pika.BlockingConnection(pika.URLParameters(url)).close()


@dataclass(frozen=True, slots=True)
class GivenBroker:
    """A broker that is run outside std-daq."""

    address: BrokerAddress

    def wait_until_ready(self) -> None:
        """Do nothing."""

    def revive(self) -> None:
        """Do nothing: restarting this broker is not the task of std-daq."""


@contextmanager
def launch_broker(given: BrokerAddress | None) -> Iterator[GivenBroker | ThrowawayBroker]:
    """Yield the broker at the given address, or a throwaway node that ends with the context.

    The node is launched but takes some seconds to start; `wait_until_ready` waits for it.
    """
    if given is not None:
        yield GivenBroker(given)
        return
    broker = ThrowawayBroker()
    try:
        broker.launch()
        yield broker
    finally:
        broker.close()
