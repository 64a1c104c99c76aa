"""Transport: sends and receives the bytes of a TCP connection; `TlsTransport` does so with TLS."""

import socket
from collections.abc import Iterable
from typing import Protocol


class Transport(Protocol):
    """One end of a connection; its methods never block.

    Attributes
    ----------
    is_open
        Whether messages can be exchanged; with TLS, this is after both sides have presented their certificates.
    has_sent
        Whether the network has accepted any bytes, which means that the connection has been made.
    """

    is_open: bool
    has_sent: bool

    @property
    def peer_name(self) -> str:
        """Common name in the certificate of the peer; empty if it has presented none."""

    @property
    def has_unsent(self) -> bool:
        """Whether `send` has taken bytes that the network has not accepted yet."""

    def receive_into(self, memory: memoryview, spare: memoryview) -> int:
        """Receive bytes into memory; further bytes that have already arrived may go into spare memory.

        Returns
        -------
        Number of bytes in both memories; 0 if the peer has ended the connection.

        Raises
        ------
        BlockingIOError
            No bytes have arrived.
        OSError
            The connection has broken.
        ValueError
            Communication with the peer is impossible; the text says why.
        """

    def send(self, parts: Iterable[bytes | memoryview]) -> int:
        """Take as many bytes as there is room for; returns their number. Raises as `receive_into` does."""

    def wake_up_for(self, n_bytes: int) -> None:
        """Wake a poller only when ``n_bytes`` have arrived, and not for each packet."""


class PlainTransport:
    """A transport without TLS.

    Parameters
    ----------
    connection
        A non-blocking socket.
    """

    is_open = True
    has_unsent = False
    peer_name = ""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self.has_sent = False

    def receive_into(self, memory: memoryview, spare: memoryview) -> int:
        """Receive bytes into both memories."""
        return self._socket.recvmsg_into([memory, spare])[0]

    def send(self, parts: Iterable[bytes | memoryview]) -> int:
        """Send as many bytes as the kernel accepts."""
        n = self._socket.sendmsg(parts)
        self.has_sent = True
        return n

    def wake_up_for(self, n_bytes: int) -> None:
        """Set the low-water mark of the socket."""
        set_low_water_mark(self._socket, n_bytes)


def set_low_water_mark(connection: socket.socket, n_bytes: int) -> None:
    """Make a socket readable only when ``n_bytes`` have arrived, or the connection has ended."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, n_bytes)
