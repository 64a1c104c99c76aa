"""Transport: how bytes get from one end of a TCP connection to the other. `TlsTransport` is the one with TLS."""

import socket
from collections.abc import Iterable
from typing import Protocol


class Transport(Protocol):
    """One end of a connection; never blocks.

    Attributes
    ----------
    is_open
        Whether messages can go through: with TLS, once both sides have shown their certificates.
    has_sent
        Whether the network has taken anything, that is, whether the connection has been made.
    """

    is_open: bool
    has_sent: bool

    @property
    def peer_name(self) -> str:
        """Whom the peer's certificate is for; empty where it has shown none."""

    @property
    def has_unsent(self) -> bool:
        """Whether bytes wait here that were taken, and that the network has no room for."""

    def receive_into(self, memory: memoryview, spare: memoryview) -> int:
        """Put what has come into memory, and what comes after it into spare memory, as far as that is at hand.

        Returns
        -------
        How many bytes there are in both; 0 when the peer has ended the connection.

        Raises
        ------
        BlockingIOError
            When nothing has come.
        OSError
            When the connection has ended in another way.
        ValueError
            When the peer cannot be spoken with; the text says why.
        """

    def send(self, parts: Iterable[bytes | memoryview]) -> int:
        """Take as many bytes as there is room for, and return how many; raises as `receive_into`."""

    def wake_up_for(self, n_bytes: int) -> None:
        """Have the system wake up who polls once so many bytes have come, and not for each packet."""


class PlainTransport:
    """Bytes as they are.

    Parameters
    ----------
    connection
        A socket that does not block.
    """

    is_open = True
    has_unsent = False
    peer_name = ""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self.has_sent = False

    def receive_into(self, memory: memoryview, spare: memoryview) -> int:
        """Put what has come into both memories."""
        return self._socket.recvmsg_into([memory, spare])[0]

    def send(self, parts: Iterable[bytes | memoryview]) -> int:
        """Take as many bytes as the system does."""
        n = self._socket.sendmsg(parts)
        self.has_sent = True
        return n

    def wake_up_for(self, n_bytes: int) -> None:
        """Set the socket's low-water mark."""
        set_low_water_mark(self._socket, n_bytes)


def set_low_water_mark(connection: socket.socket, n_bytes: int) -> None:
    """Have a socket be ready for reading once so many bytes have come, or the connection has ended."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, n_bytes)
