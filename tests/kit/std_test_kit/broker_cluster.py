"""BrokerCluster: several RabbitMQ nodes of one cluster, on loopback, for tests."""

import secrets
import shutil
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import pika

from std_daq.errors import BrokerError
from std_daq.rabbitmq.node import RabbitNode, pick_port
from std_daq.rabbitmq.throwaway import CONFIGURATION, USER, check_node

CLUSTER_CONFIGURATION = """\
cluster_formation.peer_discovery_backend = classic_config
{nodes}
cluster_partition_handling = pause_minority
"""
FORM_TIMEOUT_S = 120.0


class BrokerCluster:
    """Nodes with an address of loopback each, from 127.0.0.1 on; a context manager.

    Parameters
    ----------
    n_nodes
        How many.
    """

    def __init__(self, n_nodes: int = 3) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="std-daq-cluster-"))
        self._hosts = [f"127.0.0.{index + 1}" for index in range(n_nodes)]
        self._port, distribution_port = (pick_port(self._hosts[-1]) for _ in range(2))
        self._password, cookie = secrets.token_urlsafe(16), secrets.token_hex(20)
        self.nodes = [self._make_node(host, distribution_port, cookie) for host in self._hosts]

    @property
    def urls(self) -> str:
        """The URLs of the nodes, one a line."""
        return "\n".join(map(self._url, self._hosts))

    def node_of(self, url: str) -> RabbitNode:
        """Return the node at a URL."""
        return next(node for node, host in zip(self.nodes, self._hosts, strict=True) if f"{host}:" in url)

    def url(self, index: int) -> str:
        """Return the URL of one node."""
        return self._url(self._hosts[index])

    def __enter__(self) -> Self:
        try:
            for node in self.nodes:
                node.launch()
            for node in self.nodes:
                node.wait_until_ready()
            self._wait_until_formed()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Kill the nodes and remove all that they had."""
        for node in self.nodes:
            node.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _make_node(self, host: str, distribution_port: int, cookie: str) -> RabbitNode:
        folder = self._folder / host
        folder.mkdir()
        peers = "\n".join(
            f"cluster_formation.classic_config.nodes.{number} = throwaway@{peer}"
            for number, peer in enumerate(self._hosts, start=1)
        )
        return RabbitNode(
            folder,
            CONFIGURATION.format(host=host, port=self._port, user=USER, password=self._password)
            + CLUSTER_CONFIGURATION.format(nodes=peers),
            lambda: check_node(self._url(host), self._port, host),
            host=host,
            distribution_port=distribution_port,
            cookie=cookie,
            start_timeout_s=FORM_TIMEOUT_S,
        )

    def _url(self, host: str) -> str:
        return f"amqp://{USER}:{self._password}@{host}:{self._port}/%2F"

    def _wait_until_formed(self) -> None:
        """Wait until a quorum queue is on as many nodes as there are: each of them knows a queue of the first."""
        deadline = time.monotonic() + FORM_TIMEOUT_S
        with pika.BlockingConnection(pika.URLParameters(self.url(0))) as connection:
            connection.channel().queue_declare("formed", exclusive=True)
            while not all(map(self._knows_the_others, self._hosts)):
                if time.monotonic() > deadline:
                    raise BrokerError("the nodes have not found each other")
                time.sleep(0.1)

    def _knows_the_others(self, host: str) -> bool:
        with pika.BlockingConnection(pika.URLParameters(self._url(host))) as connection:
            try:
                connection.channel().queue_declare("formed", passive=True)
            except pika.exceptions.ChannelClosedByBroker as refused:
                return "RESOURCE_LOCKED" in refused.reply_text
            return True
