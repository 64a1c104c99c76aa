"""PUSH/PULL queues for small messages that must not be dropped: the sender learns when the queue is full."""

import zmq

from std_daq.address_words import address_in_words
from std_daq.errors import PortError
from std_daq.streams.zmq_places import WatchedPlaces

HIGH_WATER_MARK = 100_000


class PushQueue:
    """The sender of a queue.

    Parameters
    ----------
    address
        ZMQ endpoint.
    bind
        Whether this side binds the address; otherwise it connects.
    """

    def __init__(self, address: str, *, bind: bool) -> None:
        self._end = _QueueEnd(zmq.PUSH, address, bind=bind)
        self._socket = self._end.socket

    def push(self, message: bytes) -> bool:
        """Queue a message; returns False, and queues nothing, if the queue is full or no receiver is connected."""
        try:
            self._socket.send(message, zmq.DONTWAIT)
        except zmq.Again:
            return False
        return True

    def close(self, linger_s: float = 0.0) -> None:
        """Release the address, after queued messages were sent for at most ``linger_s``."""
        self._end.close(linger_s)


class PullQueue:
    """The receiver of a queue.

    Parameters
    ----------
    address
        ZMQ endpoint.
    bind
        Whether this side binds the address; otherwise it connects.
    """

    def __init__(self, address: str, *, bind: bool) -> None:
        self._end = _QueueEnd(zmq.PULL, address, bind=bind)
        self._socket = self._end.socket

    @property
    def socket(self) -> zmq.Socket[bytes]:
        """The ZMQ socket, for a poller that also waits for other events."""
        return self._socket

    def pull(self, timeout_s: float = 0.0) -> bytes | None:
        """Return the next message, or None if none arrives within ``timeout_s``."""
        if timeout_s > 0 and not self._socket.poll(int(timeout_s * 1000)):
            return None
        try:
            return self._socket.recv(zmq.DONTWAIT)
        except zmq.Again:
            return None

    def close(self) -> None:
        """Release the address."""
        self._end.close()


class _QueueEnd:
    """The socket of one side; the side that binds limits its peers."""

    def __init__(self, kind: int, address: str, *, bind: bool) -> None:
        self._context = zmq.Context()
        self.socket: zmq.Socket[bytes] = self._context.socket(kind)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.SNDHWM, HIGH_WATER_MARK)
        self.socket.setsockopt(zmq.RCVHWM, HIGH_WATER_MARK)
        self.socket.setsockopt(zmq.RECONNECT_IVL, 20)
        self.socket.setsockopt(zmq.RECONNECT_IVL_MAX, 500)
        self._places = WatchedPlaces(self.socket) if bind else None
        try:
            self.socket.bind(address) if bind else self.socket.connect(address)
        except zmq.ZMQError as error:
            self.close()
            raise PortError(f"{address} cannot be opened: {address_in_words(error)}") from None

    def close(self, linger_s: float = 0.0) -> None:
        if self._places is not None:
            self._places.close()
        self._context.destroy(linger=int(linger_s * 1000))
