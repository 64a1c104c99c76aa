"""Doorbells: a publisher tells that a ring's journal has a new entry; who listens reads the journal.

It rings in two ways. Our own listeners, on the same host, are woken over wake lines (`wake_line`). To whoever
subscribes to the address by ZMQ the entry itself is published, so that a foreign subscriber can use it without the
ring. Both may drop what a slow listener has no room for: the journal makes that harmless, see `RingFollower`.
"""

from contextlib import suppress
from pathlib import Path
from typing import Any

import zmq
from numpy.typing import NDArray

from std_daq.errors import PortError
from std_daq.streams.wake_line import WakeLine, WakeLines


class DoorbellPublisher:
    """Publishes journal entries; never blocks.

    Parameters
    ----------
    address
        ZMQ endpoint to bind, an ``ipc://`` one.

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
            self._lines = WakeLines(_wake_path(address))
        except zmq.ZMQError as error:
            self._context.destroy(linger=0)
            raise PortError(f"{address} cannot be bound: {error.strerror}") from None
        except PortError:
            self._context.destroy(linger=0)
            raise

    def ring(self, entry: NDArray[Any]) -> None:
        """Wake the listeners, and send one journal entry, a struct of shape (1,), to the subscribers."""
        self._lines.ring()
        with suppress(zmq.Again):
            self._socket.send(entry.tobytes(), zmq.DONTWAIT)

    def close(self) -> None:
        """Let go of the address."""
        self._lines.close()
        self._context.destroy(linger=0)


class Doorbell:
    """The listening side: wakes up when something was published at any of some addresses.

    Parameters
    ----------
    addresses
        ``ipc://`` endpoints; they need not exist yet.
    """

    def __init__(self, *addresses: str) -> None:
        self._line = WakeLine(*map(_wake_path, addresses))

    @property
    def socket(self) -> WakeLine:
        """For pollers that wait for other things as well, and call `wait` now and then."""
        return self._line

    def wait(self, timeout_s: float) -> bool:
        """Wait until it rings for at most ``timeout_s``; returns whether it did. All that wait are taken."""
        return self._line.wait(timeout_s)

    def close(self) -> None:
        """Stop listening."""
        self._line.close()


def _wake_path(address: str) -> Path:
    """Return where the wake lines of an address begin: beside its own socket."""
    return Path(address.removeprefix("ipc://") + ".wake")
