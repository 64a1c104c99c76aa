"""TcpDealer: one connection to a `TcpRouter`."""

import select
import socket

from std_daq.streams.framing import split_address
from std_daq.streams.host_lookup import HostLookup, Place
from std_daq.streams.incoming import Incoming
from std_daq.streams.outgoing import Outgoing


class TcpDealer:
    """The side that connects. One object is one connection: when that ends, or cannot be made, it is told.

    Parameters
    ----------
    address
        ``tcp://HOST:PORT``. Where the host has several places, one after the other is tried.
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
        self._largest_bytes = largest_bytes
        self._epoll = select.epoll()
        self._outgoing = Outgoing()
        self._incoming: Incoming | None = None
        self._socket: socket.socket | None = None
        self._is_connecting = True
        self._places: list[Place] = []
        self._lookup: HostLookup | None = HostLookup(host, port)
        self._go_on()

    @property
    def socket(self) -> select.epoll:
        """For pollers; it is also ready when the connection has been made, for what waits to be sent.

        That the host has been looked up wakes nobody up: `receive` sees it.
        """
        return self._epoll

    def send(self, message: bytes) -> None:
        """Send a message, or queue it; nothing where so much is queued that more would be no use."""
        if self.failure:
            return
        try:
            self._outgoing.put(message)
        except OSError as error:
            self._fail(error)
        self._go_on()

    def receive(self) -> bytes | None:
        """Return the next message, or None where it has not come."""
        incoming = self._go_on()
        if incoming is None:
            return None
        try:
            return incoming.receive()
        except (OSError, ValueError) as error:
            self._fail(error)
            return None

    def receive_into(self, memory: memoryview) -> int | None:
        """Put the next message into memory; to be called with the same memory until all of it has come.

        Returns
        -------
        Its size, None where it has not come.
        """
        incoming = self._go_on()
        if incoming is None:
            return None
        try:
            return incoming.receive_into(memory)
        except (OSError, ValueError) as error:
            self._fail(error)
            return None

    def close(self, linger_s: float = 0.0) -> None:  # noqa: ARG002 - the system sends what it has taken
        """End the connection."""
        self._epoll.close()
        if self._socket is not None:
            self._socket.close()

    def _go_on(self) -> Incoming | None:
        """Connect as far as can be, and hand over what waits; returns what is received, None where nothing is yet."""
        if self._lookup is not None:
            self._see_where_it_is(self._lookup)
        if self._outgoing.n_waiting and not self.failure:
            try:
                self._outgoing.transmit()
            except OSError as error:
                self._fail(error)
            if self._is_connecting and self._socket is not None and self._outgoing.has_taken(1):
                self._is_connecting = False
                self._epoll.modify(self._socket, select.EPOLLIN)
        return None if self.failure or self._is_connecting else self._incoming

    def _see_where_it_is(self, lookup: HostLookup) -> None:
        try:
            places = lookup.answer()
        except OSError as error:
            self._lookup = None
            self._fail(error)
            return
        if places is not None:
            self._lookup = None
            self._places = places
            self._try_next_place()

    def _try_next_place(self) -> None:
        """Begin to connect to the next place of the host."""
        if self._socket is not None:
            self._socket.close()
        try:
            self._socket = connecting = _begin_to_connect(self._places.pop(0))
        except OSError as error:
            self._fail(error)
            return
        self._incoming = Incoming(connecting, self._largest_bytes)
        self._outgoing.begin(connecting)
        self._epoll.register(connecting, select.EPOLLIN | select.EPOLLOUT)

    def _fail(self, error: OSError | ValueError) -> None:
        if self._is_connecting and self._places:
            self._try_next_place()
            return
        self.failure = getattr(error, "strerror", None) or str(error)
        is_made = isinstance(error, ConnectionError) and not isinstance(error, ConnectionRefusedError)
        if is_made and self._incoming is not None and not self._incoming.is_greeted:
            # ZMQ that expects keys ends it so.
            self.failure += ", before a greeting: has it keys and this side none, or too many receivers?"


def _begin_to_connect(place: Place) -> socket.socket:
    """Return a socket whose connection is being made; raises OSError."""
    connecting = socket.socket(place.family, place.kind, place.protocol)
    try:
        connecting.setblocking(False)
        connecting.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connecting.connect(place.address)
    except BlockingIOError:
        pass  # what is sent until it is made waits
    except OSError:
        connecting.close()
        raise
    return connecting
