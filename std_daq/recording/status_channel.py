"""Statuses: how a service tells what became of a request, and how clients hear it."""

import time
from concurrent.futures import Future
from dataclasses import replace
from types import TracebackType
from typing import Self

from std_daq.amqp.address import BrokerAddress
from std_daq.amqp.connection import BrokerConnection
from std_daq.amqp.messages import Message
from std_daq.amqp.topology import STATUS, ListenerQueue, QueueType
from std_daq.recording.requests import StatusMessage


class StatusPublisher:
    """Publishes statuses, in order, also through an outage of the broker.

    Parameters
    ----------
    connection
        Of any topology.
    """

    def __init__(self, connection: BrokerConnection) -> None:
        self._connection = connection

    def publish(self, status: StatusMessage) -> Future[None]:
        """Send a status as soon as there is a connection; the future is done when the broker has it.

        Raises
        ------
        BrokerError
            Too many messages wait already, or the connection is closed.
        """
        body, headers = status.to_wire()
        message = Message(exchange=STATUS, body=body, headers=headers, correlation_id=status.request_id)
        if status.action.is_final:
            # It may be told once more, as by an agent that was killed before it heard that the broker has it.
            message = replace(message, message_id=f"{status.request_id}.end")
        return self._connection.publish(message)


class StatusListener:
    """Hears every status from the moment on at which it is connected; a context manager.

    Parameters
    ----------
    address
        Where the broker is, or its URL.
    queue_type
        Type of the listener's queue, as `std_daq.amqp.topology.ListenerQueue` has it.
    name
        What the broker's lists show of this connection.
    """

    def __init__(
        self, address: BrokerAddress | str, *, queue_type: QueueType = "default", name: str = "std-daq-listener"
    ) -> None:
        topology = ListenerQueue(queue_type)
        self.queue = topology.queue
        self.connection = BrokerConnection(address, topology, name=name)
        self.n_foreign = 0

    def receive(self, timeout_s: float = 0.0) -> StatusMessage | None:
        """Return the next status, None if there is none in time.

        Messages that are no status of ours, which other services may publish, are skipped and counted in
        ``n_foreign``.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            delivery = self.connection.receive(max(deadline - time.monotonic(), 0.0))
            if delivery is None:
                return None
            self.connection.acknowledge(delivery)
            try:
                return StatusMessage.from_wire(delivery.correlation_id or "", delivery.body, delivery.headers)
            except ValueError:
                self.n_foreign += 1

    def __enter__(self) -> Self:
        self.connection.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.connection.close()
