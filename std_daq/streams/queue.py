"""PUSH/PULL queues for small messages that must not be dropped: the sender learns when the queue is full."""

import zmq

from std_daq.errors import PortError

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
        self._context = zmq.Context()
        self._socket = _open(self._context, zmq.PUSH, address, bind=bind)

    def push(self, message: bytes) -> bool:
        """Queue a message; returns False, and queues nothing, if the queue is full or no receiver is connected."""
        try:
            self._socket.send(message, zmq.DONTWAIT)
        except zmq.Again:
            return False
        return True

    def close(self, linger_s: float = 0.0) -> None:
        """Release the address, after queued messages were sent for at most ``linger_s``."""
        self._context.destroy(linger=int(linger_s * 1000))


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
        self._context = zmq.Context()
        self._socket = _open(self._context, zmq.PULL, address, bind=bind)

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
        self._context.destroy(linger=0)


def _open(context: "zmq.Context[zmq.Socket[bytes]]", kind: int, address: str, *, bind: bool) -> "zmq.Socket[bytes]":
    socket = context.socket(kind)
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.SNDHWM, HIGH_WATER_MARK)
    socket.setsockopt(zmq.RCVHWM, HIGH_WATER_MARK)
    socket.setsockopt(zmq.RECONNECT_IVL, 20)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, 500)
    try:
        socket.bind(address) if bind else socket.connect(address)
    except zmq.ZMQError as error:
        context.destroy(linger=0)
        raise PortError(f"{address} cannot be opened: {error.strerror}") from None
    return socket
