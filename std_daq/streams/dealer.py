"""Dealer: one connection to a `Router`."""

from contextlib import suppress

import zmq

from std_daq.errors import PortError
from std_daq.streams.curve_keys import ClientKeys
from std_daq.streams.router import end_stuck_connections


class Dealer:
    """The side that connects; the address need not exist yet.

    Parameters
    ----------
    address
        ZMQ endpoint.
    queue_messages
        How many messages may wait to be received.
    largest_bytes
        A peer that sends a larger message is disconnected.
    timeout_s
        A connection over which nothing that is sent gets through for this time is ended, and tried anew. Whether
        anything comes is for the caller to see.
    keys
        For CURVE.

    Raises
    ------
    PortError
        When the address is none.
    """

    def __init__(
        self,
        address: str,
        *,
        queue_messages: int,
        largest_bytes: int,
        timeout_s: float,
        keys: ClientKeys | None = None,
    ) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        socket = self._socket
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.RCVHWM, queue_messages)
        socket.setsockopt(zmq.MAXMSGSIZE, largest_bytes)
        socket.setsockopt(zmq.RECONNECT_IVL, 100)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, 1000)
        # No heartbeats: while the queue is full ZMQ does not read the answers, ends the connection for want of them,
        # and then the process (libzmq issue 3937).
        end_stuck_connections(socket, timeout_s)
        if keys is not None:
            socket.setsockopt(zmq.CURVE_SERVERKEY, keys.server)
            socket.setsockopt(zmq.CURVE_SECRETKEY, keys.secret)
            socket.setsockopt(zmq.CURVE_PUBLICKEY, zmq.curve_public(keys.secret))
        try:
            socket.connect(address)
        except zmq.ZMQError as error:
            self._context.destroy(linger=0)
            raise PortError(f"{address} cannot be connected to: {error.strerror}") from None

    @property
    def failure(self) -> str:
        """Why the connection has ended: empty, because ZMQ makes it anew by itself."""
        return ""

    @property
    def socket(self) -> "zmq.Socket[bytes]":
        """For pollers."""
        return self._socket

    def send(self, message: bytes) -> None:
        """Queue a message; nothing where the queue is full."""
        with suppress(zmq.Again):
            self._socket.send(message, zmq.DONTWAIT)

    def receive(self) -> bytes | None:
        """Return the next message, or None where there is none."""
        try:
            return self._socket.recv(zmq.DONTWAIT)
        except zmq.Again:
            return None

    def receive_into(self, memory: memoryview) -> int | None:
        """Put the next message into memory; returns its size, which may be too large, or None where there is none."""
        try:
            return self._socket.recv_into(memory, flags=zmq.DONTWAIT)
        except zmq.Again:
            return None

    def close(self, linger_s: float = 0.0) -> None:
        """End the connection; what is queued is still sent for at most ``linger_s``."""
        self._context.destroy(linger=int(linger_s * 1000))
