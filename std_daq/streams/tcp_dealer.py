"""TcpDealer: one connection to a `TcpRouter`."""

import select
import socket

from std_daq.streams.framing import split_address
from std_daq.streams.incoming import Incoming
from std_daq.streams.outgoing import Outgoing


class TcpDealer:
    """The side that connects. One object is one connection: when that ends, or cannot be made, it is told.

    Parameters
    ----------
    address
        ``tcp://HOST:PORT``.
    largest_bytes
        A peer that sends a larger message, but for those that there is memory for, is disconnected.

    Attributes
    ----------
    failure
        Why the connection has ended; empty while it has not.

    Raises
    ------
    PortError
        When the address is none.
    """

    def __init__(self, address: str, *, largest_bytes: int) -> None:
        host, port = split_address(address)
        self.failure = ""
        self._is_connecting = True
        self._epoll = select.epoll()
        try:
            self._socket = _begin_to_connect(host, port)
        except OSError as error:
            self._socket = socket.socket()  # one that is used for nothing
            self._fail(error)
        else:
            self._epoll.register(self._socket, select.EPOLLIN | select.EPOLLOUT)
        self._incoming = Incoming(self._socket, largest_bytes)
        self._outgoing = Outgoing(self._socket)

    @property
    def socket(self) -> select.epoll:
        """For pollers; it is also ready when the connection has been made, for what waits to be sent."""
        return self._epoll

    def send(self, message: bytes) -> None:
        """Send a message, or queue it; nothing where so much is queued that more would be no use."""
        if self.failure:
            return
        try:
            self._outgoing.put(message)
        except OSError as error:
            self._fail(error)
        self._send_on()

    def receive(self) -> bytes | None:
        """Return the next message, or None where it has not come."""
        self._send_on()
        if self.failure:
            return None
        try:
            return self._incoming.receive()
        except (OSError, ValueError) as error:
            self._fail(error)
            return None

    def receive_into(self, memory: memoryview) -> int | None:
        """Put the next message into memory; to be called with the same memory until all of it has come.

        Returns
        -------
        Its size, None where it has not come.
        """
        self._send_on()
        if self.failure:
            return None
        try:
            return self._incoming.receive_into(memory)
        except (OSError, ValueError) as error:
            self._fail(error)
            return None

    def close(self, linger_s: float = 0.0) -> None:  # noqa: ARG002 - the system sends what it has taken
        """End the connection."""
        self._epoll.close()
        self._socket.close()

    def _send_on(self) -> None:
        """Hand over what waits; no call to the system where nothing does."""
        if self.failure or not self._outgoing.n_waiting:
            return
        try:
            self._outgoing.transmit()
        except OSError as error:
            self._fail(error)
            return
        if self._is_connecting and not self._outgoing.n_waiting:
            self._is_connecting = False
            self._epoll.modify(self._socket, select.EPOLLIN)

    def _fail(self, error: OSError | ValueError) -> None:
        self.failure = getattr(error, "strerror", None) or str(error)


def _begin_to_connect(host: str, port: int) -> socket.socket:
    """Return a socket whose connection is being made; raises OSError."""
    family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    connecting = socket.socket(family, kind, protocol)
    try:
        connecting.setblocking(False)
        connecting.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connecting.connect(place)
    except BlockingIOError:
        pass  # what is sent until it is made waits
    except OSError:
        connecting.close()
        raise
    return connecting
