"""Doorbells: a publisher signals that the journal of a ring has a new entry; listeners then read the journal.

A doorbell signals in two ways. It wakes listeners of std-daq, which are on the same host, over wake lines
(`wake_line`). It also publishes the entry itself over ZMQ, so that a foreign subscriber can use the entry without the
ring. Both ways may drop a signal for a slow listener. This is harmless, because the listener reads the journal
(`RingFollower`).
"""

from contextlib import suppress
from pathlib import Path
from typing import Any

import zmq
from numpy.typing import NDArray

from std_daq.address_words import address_in_words
from std_daq.errors import PortError
from std_daq.streams.wake_line import WakeLine, WakeLines
from std_daq.streams.zmq_places import WatchedPlaces


class DoorbellPublisher:
    """Publishes journal entries; never blocks.

    Parameters
    ----------
    address
        ZMQ endpoint to bind, ``ipc://PATH``.

    Raises
    ------
    PortError
        The address cannot be bound.
    """

    def __init__(self, address: str) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.PUB)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._places = WatchedPlaces(self._socket)
        try:
            self._socket.bind(address)
            self._lines = WakeLines(_wake_path(address))
        except zmq.ZMQError as error:
            self._end_zmq()
            raise PortError(f"{address} cannot be bound: {address_in_words(error)}") from None
        except PortError:
            self._end_zmq()
            raise

    def ring(self, entry: NDArray[Any]) -> None:
        """Wake the listeners, and send one journal entry, a struct of shape (1,), to the subscribers."""
        self._lines.ring()
        with suppress(zmq.Again):
            self._socket.send(entry.tobytes(), zmq.DONTWAIT)

    def close(self) -> None:
        """Release the address."""
        self._lines.close()
        self._end_zmq()

    def _end_zmq(self) -> None:
        self._places.close()
        self._context.destroy(linger=0)


class Doorbell:
    """The listener of a doorbell; it wakes up when a publisher at any of its addresses rings.

    Parameters
    ----------
    addresses
        ``ipc://`` endpoints; their publishers may start later.
    """

    def __init__(self, *addresses: str) -> None:
        self._line = WakeLine(*map(_wake_path, addresses))

    @property
    def socket(self) -> WakeLine:
        """The wake line, for a poller that also waits for other events; the poller must call `wait` regularly."""
        return self._line

    def wait(self, timeout_s: float) -> bool:
        """Wait for a ring, at most ``timeout_s``; returns whether there was one. Takes all rings that are pending."""
        return self._line.wait(timeout_s)

    def close(self) -> None:
        """Stop listening."""
        self._line.close()


def _wake_path(address: str) -> Path:
    """Return the path of the socket of the wake lines, which is next to the socket of the address."""
    return Path(address.removeprefix("ipc://") + ".wake")
