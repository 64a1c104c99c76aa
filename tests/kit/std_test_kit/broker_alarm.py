"""Alarms of a RabbitMQ node, raised and lifted by an Erlang node that connects to it, as rabbitmqctl does."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

import pika

from std_daq.rabbitmq.node import RabbitNode

LIMITS = {
    "memory": ("vm_memory_monitor, set_vm_memory_high_watermark, [0.000001]", "[{absolute, 536870912}]"),
    "disk": ("rabbit_disk_monitor, set_disk_free_limit, [1000000000000000]", "[50000000]"),
}
LIMIT_S = 60.0


def call(node: RabbitNode, what: str) -> str:
    """Call a function in a node (``module, function, [arguments]``), and return what it returns, as text."""
    command = [
        *("erl", "-noshell", "-name", f"test{os.getpid()}@127.0.0.1", "-hidden", "-dist_listen", "false"),
        *("-start_epmd", "false", "-erl_epmd_port", str(node.distribution_port)),
        *("-eval", f"io:format(\"~p~n\", [rpc:call('{node.name}', {what})]), halt()."),
    ]
    environment = {**os.environ, "HOME": str(node.folder)}  # where the cookie is
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=True)
    if "badrpc" in done.stdout:
        raise RuntimeError(done.stdout)
    return done.stdout.strip()


@contextmanager
def alarm(node: RabbitNode, kind: str = "memory") -> Iterator[None]:
    """Keep a node from taking messages: ``memory`` or ``disk`` alarm."""
    raise_it, before = LIMITS[kind]
    call(node, raise_it)
    try:
        yield
    finally:
        call(node, f"{raise_it[: raise_it.index('[')]}{before}")


class Parcels:
    """Context manager: messages that were published before an alarm, and reach their queue when they are let go.

    They wait in a queue of their own. A message that is rejected there becomes a dead letter, and RabbitMQ publishes
    those itself, also during an alarm.

    Parameters
    ----------
    url
        URL of the broker.
    exchange, routing_key
        Where the messages go when they are let go.
    """

    def __init__(self, url: str, exchange: str, routing_key: str) -> None:
        self._connection = pika.BlockingConnection(pika.URLParameters(url))
        self._channel = self._connection.channel()
        target = {"x-dead-letter-exchange": exchange, "x-dead-letter-routing-key": routing_key}
        self._queue = self._channel.queue_declare("", arguments=target, exclusive=True).method.queue
        self._url = url

    def prepare(self, correlation_id: str, body: bytes = b"") -> None:
        """Publish a message; call this before the alarm."""
        with pika.BlockingConnection(pika.URLParameters(self._url)) as publisher:
            channel = publisher.channel()
            channel.confirm_delivery()
            channel.basic_publish("", self._queue, body, pika.BasicProperties(correlation_id=correlation_id))

    def let_go(self) -> None:
        """Have the message that was prepared first delivered."""
        method, _, _ = self._channel.basic_get(self._queue)
        self._channel.basic_reject(method.delivery_tag, requeue=False)
        self._connection.process_data_events()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
