"""BrokerConnection: everything that a process does at RabbitMQ, over one connection to receive and one to publish.

RabbitMQ reads nothing from a connection that publishes while an alarm is on (its disk or memory is full). What a
process receives has therefore a connection of its own: kills and requests arrive during an alarm, and are acknowledged.
Each connection reconnects by itself and has a thread of its own, because pika's connections must not be shared between
threads. Other threads exchange messages with them through queues.
"""

import logging
import threading
from concurrent.futures import Future
from typing import Self

from std_daq.amqp.address import BrokerAddress
from std_daq.amqp.away_log import AwayLog
from std_daq.amqp.consumer import BrokerConsumer
from std_daq.amqp.link import BrokerLink
from std_daq.amqp.messages import Delivery, Message
from std_daq.amqp.publisher import MAX_WAITING, BrokerPublisher
from std_daq.amqp.readable_properties import read_all_messages
from std_daq.amqp.topology import NothingOwned, Topology
from std_daq.errors import BrokerError

PUBLISHER_SUFFIX = " publisher"
"""What the name of a connection that publishes has at its end."""

# pika logs many lines for each failed attempt; AwayLog writes one instead.
logging.getLogger("pika").setLevel(logging.CRITICAL)
read_all_messages()


class BrokerConnection:
    """Context manager: publishes messages in order, and returns those that arrive.

    Parameters
    ----------
    address
        Address of the broker, or its URL.
    topology
        Declares exchanges and queues after each connect, and names the queues to consume. With `NothingOwned` there is
        no connection to receive.
    name
        Name of the connections in the broker's list of connections; that to publish has " publisher" added.
    publishes
        Whether to open the connection to publish at the start. It is opened at the first message otherwise. Only an
        open connection knows whether the broker takes messages.
    patience_s
        Time from the start for which the log does not tell that the broker cannot be reached: it may be starting, too.
    max_waiting
        High-water mark: largest number of messages that wait to be published.
    """

    def __init__(
        self,
        address: BrokerAddress | str,
        topology: Topology,
        *,
        name: str = "std-daq",
        publishes: bool = False,
        patience_s: float = 0.0,
        max_waiting: int = MAX_WAITING,
    ) -> None:
        address = BrokerAddress.parse(address) if isinstance(address, str) else address
        away_log = AwayLog(patience_s)
        self._changed = threading.Condition()
        self._consumer: BrokerConsumer | None = None
        if not isinstance(topology, NothingOwned):
            self._consumer = BrokerConsumer(address, name, away_log, self._changed, topology)
        self._publisher = BrokerPublisher(
            address,
            f"{name}{PUBLISHER_SUFFIX}",
            away_log,
            self._changed,
            probe_exchange=topology.probe_exchange,
            after=self._consumer,
            max_waiting=max_waiting,
        )
        self._publishes = publishes or self._consumer is None
        self._start_lock = threading.Lock()
        self._closed = threading.Event()

    def start(self) -> None:
        """Start to connect in the background, and return at once."""
        if self._consumer is not None:
            self._consumer.start()
        if self._publishes:
            self._publisher.start()

    @property
    def is_connected(self) -> bool:
        """Whether all connections that are wanted are open and ready for use."""
        return all(link.is_connected for link in self._links())

    @property
    def connected_to(self) -> str | None:
        """URL of the connected node, without user and password; None while there is no connection."""
        return next(iter(self._links())).connected_to

    @property
    def why_away(self) -> str | None:
        """The reason why there is no connection now; None if there is a connection."""
        return next((link.why_away for link in self._links() if not link.is_connected), None)

    @property
    def why_blocked(self) -> str | None:
        """Why the broker takes no messages although it is connected; None while it takes them or is not asked."""
        return self._publisher.why_blocked

    @property
    def n_waiting(self) -> int:
        """Messages that wait to be published, or for their confirmation."""
        return self._publisher.n_waiting

    def wait_connected(self, timeout_s: float) -> None:
        """Wait until the connection is open.

        Raises
        ------
        BrokerError
            All nodes refuse the connection, or none is connected before the timeout.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self.is_connected or any(link.is_refused for link in self._links()), timeout_s
            )
            if not self.is_connected:
                raise BrokerError(self.why_away or "the connection to the broker opens and breaks again and again")

    def publish(self, message: Message) -> Future[None]:
        """Queue a message; it is published as soon as there is a connection.

        Returns
        -------
        Future
            Done when the broker has confirmed the message. It holds a `BrokerError` if the broker does not accept the
            message, or if the message is mandatory and no queue receives it. Cancelling the future withdraws the
            message, unless the thread has already begun to send it.

        Raises
        ------
        BrokerError
            ``max_waiting`` messages wait already, the message cannot be encoded, or the connection is closed.
        BrokerBlockedError
            The broker blocks publishers, and the message may not wait for the end of that.
        """
        if not self._publishes:
            with self._start_lock:
                if not self._publisher.is_started:
                    self._publishes = True
                    self._publisher.start()
        return self._publisher.publish(message)

    def receive(self, timeout_s: float = 0.0) -> Delivery | None:
        """Return the next message that arrived; None if none arrives before the timeout.

        Raises
        ------
        BrokerError
            The connection is closed.
        """
        if self._consumer is None:
            self._publisher.check_open()
            self._closed.wait(timeout_s)
            return None
        return self._consumer.receive(timeout_s)

    def acknowledge(self, delivery: Delivery) -> None:
        """Acknowledge a delivery; without effect if its session is over, because the broker delivers it again then."""
        if self._consumer is not None:
            self._consumer.settle(delivery, is_accepted=True)

    def reject(self, delivery: Delivery) -> None:
        """Reject a delivery, so that the broker moves it to the dead letters; without effect if its session is over."""
        if self._consumer is not None:
            self._consumer.settle(delivery, is_accepted=False)

    def close(self, timeout_s: float = 5.0) -> None:
        """Send the messages that wait, if there is a connection that takes them, and end the threads."""
        self._closed.set()
        self._publisher.close(timeout_s)
        if self._consumer is not None:
            self._consumer.close(timeout_s)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _links(self) -> list[BrokerLink]:
        links: list[BrokerLink] = [] if self._consumer is None else [self._consumer]
        return [*links, self._publisher] if self._publishes else links
