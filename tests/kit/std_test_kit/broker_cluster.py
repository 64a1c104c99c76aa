"""BrokerCluster: several RabbitMQ nodes of one cluster, on loopback, for tests."""

import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import pika

from std_daq.errors import BrokerError
from std_daq.rabbitmq.node import RabbitNode
from std_daq.rabbitmq.throwaway import CONFIGURATION, USER, check_node
from std_test_kit.free_ports import free_tcp_port
from std_test_kit.wait import wait_until

CLUSTER_CONFIGURATION = """\
cluster_formation.peer_discovery_backend = classic_config
{nodes}
cluster_partition_handling = pause_minority
"""
FORM_TIMEOUT_S = 120.0
EPMD_TIMEOUT_S = 10.0


class BrokerCluster:
    """Nodes with an address of loopback each, from 127.0.0.1 on, and the epmd by which they find each other.

    A context manager. The epmd is of this cluster alone: it has a port of its own, and ends with this process.

    Parameters
    ----------
    n_nodes
        How many.
    """

    def __init__(self, n_nodes: int = 3) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="std-daq-cluster-"))
        self._hosts = [f"127.0.0.{index + 1}" for index in range(n_nodes)]
        self._port = free_tcp_port(self._hosts[-1])
        self._epmd_port = free_tcp_port()
        self._epmd: subprocess.Popen[bytes] | None = None
        self._password, cookie = secrets.token_urlsafe(16), secrets.token_hex(20)
        self._names = [f"throwaway-{number}" for number in range(1, n_nodes + 1)]
        self.nodes = [self._make_node(name, host, cookie) for name, host in zip(self._names, self._hosts, strict=True)]

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
            self._start_epmd()
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
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start_epmd(self) -> None:
        command = ["setpriv", "--pdeathsig", "KILL", "epmd", "-port", str(self._epmd_port)]
        command += ["-address", ",".join(self._hosts)]
        self._epmd = subprocess.Popen(command)
        wait_until(self._epmd_answers, EPMD_TIMEOUT_S, lambda: "epmd does not answer")

    def _epmd_answers(self) -> bool:
        with socket.socket() as asking:
            return asking.connect_ex((self._hosts[0], self._epmd_port)) == 0

    def _make_node(self, name: str, host: str, cookie: str) -> RabbitNode:
        folder = self._folder / host
        folder.mkdir()
        peers = "\n".join(
            f"cluster_formation.classic_config.nodes.{number} = {peer}@{place}"
            for number, (peer, place) in enumerate(zip(self._names, self._hosts, strict=True), start=1)
        )
        return RabbitNode(
            folder,
            CONFIGURATION.format(host=host, port=self._port, user=USER, password=self._password)
            + CLUSTER_CONFIGURATION.format(nodes=peers),
            lambda: check_node(self._url(host), self._port, host),
            name=name,
            host=host,
            epmd_port=self._epmd_port,
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
