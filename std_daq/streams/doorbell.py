"""Doorbells: a publisher tells that a ring's journal has a new entry; who listens reads the journal.

The message is the entry itself, so that a foreign subscriber can use it without the ring. Messages may be dropped
(PUB drops for slow subscribers): the journal makes that harmless, see `JournalFollower`.
"""

from contextlib import suppress
from typing import Any

import zmq
from numpy.typing import NDArray

from std_daq.errors import PortError


class DoorbellPublisher:
    """Publishes journal entries over ZMQ; never blocks.

    Parameters
    ----------
    address
        ZMQ endpoint to bind.

    Raises
    ------
    PortError
        When it cannot be bound.
    """

    def __init__(self, address: str) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.PUB)
        self._socket.setsockopt(zmq.LINGER, 0)
        try:
            self._socket.bind(address)
        except zmq.ZMQError as error:
            self._context.destroy(linger=0)
            raise PortError(f"{address} cannot be bound: {error.strerror}") from None

    def ring(self, entry: NDArray[Any]) -> None:
        """Send one journal entry, a struct of shape (1,)."""
        with suppress(zmq.Again):
            self._socket.send(entry.tobytes(), zmq.DONTWAIT)

    def close(self) -> None:
        """Let go of the address."""
        self._context.destroy(linger=0)


class Doorbell:
    """The listening side: wakes up when something was published at any of some addresses.

    Parameters
    ----------
    addresses
        ZMQ endpoints; they need not exist yet.
    """

    def __init__(self, *addresses: str) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.RECONNECT_IVL, 20)
        self._socket.setsockopt(zmq.RECONNECT_IVL_MAX, 500)
        self._socket.subscribe(b"")
        for address in addresses:
            self._socket.connect(address)

    @property
    def socket(self) -> zmq.Socket[bytes]:
        """For pollers that wait for other things as well."""
        return self._socket

    def wait(self, timeout_s: float) -> bool:
        """Wait for a message for at most ``timeout_s``; returns whether one came. All that wait are taken."""
        if not self._socket.poll(int(timeout_s * 1000)):
            return False
        with suppress(zmq.Again):
            while True:
                self._socket.recv(zmq.DONTWAIT)
        return True

    def close(self) -> None:
        """Stop listening."""
        self._context.destroy(linger=0)
