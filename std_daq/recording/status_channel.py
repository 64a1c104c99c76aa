"""Statuses of requests: how a service publishes them and how clients receive them."""

import time
from concurrent.futures import Future
from dataclasses import replace
from types import TracebackType
from typing import Self

from std_daq.amqp.address import BrokerAddress
from std_daq.amqp.connection import BrokerConnection
from std_daq.amqp.messages import Message
from std_daq.amqp.topology import STATUS, ListenerQueue, QueueType
from std_daq.errors import RequestRefusedError
from std_daq.recording.requests import StatusMessage, check_request_id


class StatusPublisher:
    """Publish statuses in order; during an outage of the broker they wait.

    Parameters
    ----------
    connection
        Connection to the broker, with any topology.
    """

    def __init__(self, connection: BrokerConnection) -> None:
        self._connection = connection

    def publish(self, status: StatusMessage) -> Future[None]:
        """Queue a status to be sent as soon as there is a connection; the future is done when the broker confirms it.

        Raises
        ------
        BrokerError
            Too many messages wait already, or the connection is closed.
        """
        body, headers = status.to_wire()
        message = Message(
            exchange=STATUS,
            body=body,
            headers=headers,
            correlation_id=status.request_id,
            shorten=lambda max_bytes: status.to_wire(max_bytes)[1],
        )
        if status.action.is_final and _is_uuid(status.request_id):
            # The status may be sent twice, for example if the agent is killed before the broker's confirmation reaches
            # it. The second message has the same id.
            message = replace(message, message_id=f"{status.request_id}.end")
        return self._connection.publish(message)


def _is_uuid(request_id: str) -> bool:
    try:
        check_request_id(request_id)
    except RequestRefusedError:
        return False
    return True


class StatusListener:
    """Context manager: receive every status that is published from the first connect on.

    Parameters
    ----------
    address
        Address of the broker, or its URL.
    queue_type
        Type of the listener's queue, as in `std_daq.amqp.topology.ListenerQueue`.
    name
        Name of the connection in the broker's list of connections.
    publishes
        Whether its connection also publishes, as in `std_daq.amqp.connection.BrokerConnection`.
    """

    def __init__(
        self,
        address: BrokerAddress | str,
        *,
        queue_type: QueueType = "default",
        name: str = "std-daq-listener",
        publishes: bool = False,
    ) -> None:
        topology = ListenerQueue(queue_type)
        self.queue = topology.queue
        self.connection = BrokerConnection(address, topology, name=name, publishes=publishes)
        self.n_foreign = 0

    def receive(self, timeout_s: float = 0.0) -> StatusMessage | None:
        """Return the next status; None if none arrives before the timeout.

        Other services may publish messages that are not statuses of std-daq. These are skipped and counted in
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
            except (ValueError, TypeError, ArithmeticError, RecursionError):
                self.n_foreign += 1

    def __enter__(self) -> Self:
        self.connection.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.connection.close()
