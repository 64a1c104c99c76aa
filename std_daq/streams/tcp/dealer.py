"""TcpDealer: one connection to a `TcpRouter`."""

import select
import socket
from contextlib import suppress

from std_daq.streams.tcp.framing import split_address
from std_daq.streams.tcp.host_lookup import HostAddress, HostLookup
from std_daq.streams.tcp.identity import TlsIdentity
from std_daq.streams.tcp.incoming import Incoming
from std_daq.streams.tcp.outgoing import Outgoing
from std_daq.streams.tcp.tls_transport import TlsTransport
from std_daq.streams.tcp.transport import PlainTransport, Transport

# What comes are pixels: much at once.
_TLS_BUFFER_BYTES = 2**20


class TcpDealer:
    """The side that connects. One object is one connection: when that ends, or cannot be made, it is told.

    Parameters
    ----------
    address
        ``tcp://HOST:PORT``. Where the host has several addresses, one after the other is tried.
    max_message_bytes
        A peer that sends a larger message, but for those that there is memory for, is disconnected.
    identity
        For TLS: what is shown to the peer, and whom to trust. Without it the connection is plain.
    server_name
        With TLS: the name that the peer's certificate must be for; by default the host of the address.

    Attributes
    ----------
    failure
        Why the connection has ended; empty while it has not.

    Raises
    ------
    PortError
        When the address is none.
    """

    def __init__(
        self,
        address: str,
        *,
        max_message_bytes: int,
        identity: TlsIdentity | None = None,
        server_name: str | None = None,
    ) -> None:
        host, port = split_address(address)
        self.failure = ""
        self._max_message_bytes = max_message_bytes
        self._identity = identity
        self._server_name = server_name or host
        self._epoll = select.epoll()
        self._outgoing = Outgoing()
        self._incoming: Incoming | None = None
        self._transport: Transport | None = None
        self._socket: socket.socket | None = None
        self._is_connecting = True
        self._is_cut = False
        self._addresses: list[HostAddress] = []
        self._lookup: HostLookup | None = HostLookup(host, port)
        self._advance()

    @property
    def socket(self) -> select.epoll:
        """For pollers; it is also ready when the connection has been made, for what waits to be sent.

        That the host has been looked up wakes nobody up: `receive` sees it.
        """
        return self._epoll

    def send(self, message: bytes) -> None:
        """Send a message, or queue it; nothing where so much is queued that more would be no use."""
        if self.failure or self._is_cut:
            return
        try:
            self._outgoing.put(message)
        except (OSError, ValueError) as error:
            self._stop_sending(error)
        self._advance()

    def receive(self) -> bytes | None:
        """Return the next message, or None where it has not come."""
        incoming = self._advance()
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
        incoming = self._advance()
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

    def _advance(self) -> Incoming | None:
        """Connect as far as can be, and hand over what waits; returns what is received, None where nothing is yet."""
        if self._lookup is not None:
            self._use_answer(self._lookup)
        transport = self._transport
        if transport is not None and not self.failure and not self._is_cut:
            try:
                self._outgoing.transmit()
            except (OSError, ValueError) as error:
                self._stop_sending(error)
            if self._is_connecting and transport is self._transport and transport.has_sent and self._socket is not None:
                self._is_connecting = False
                self._epoll.modify(self._socket, select.EPOLLIN)
        return None if self.failure or self._is_connecting else self._incoming

    def _use_answer(self, lookup: HostLookup) -> None:
        """Connect, where the host has been found."""
        try:
            addresses = lookup.answer()
        except OSError as error:
            self._lookup = None
            self._fail(error)
            return
        if addresses is not None:
            self._lookup = None
            self._addresses = addresses
            self._try_next_address()

    def _try_next_address(self) -> None:
        """Begin to connect to the next address of the host."""
        if self._socket is not None:
            self._socket.close()
        try:
            self._socket = connecting = _begin_to_connect(self._addresses.pop(0))
        except OSError as error:
            self._fail(error)
            return
        if self._identity is None:
            self._transport = PlainTransport(connecting)
        else:
            context = self._identity.context()
            self._transport = TlsTransport(connecting, context, self._server_name, _TLS_BUFFER_BYTES)
        self._incoming = Incoming(self._transport, self._max_message_bytes)
        self._outgoing.begin(self._transport)
        self._epoll.register(connecting, select.EPOLLIN | select.EPOLLOUT)

    def _stop_sending(self, error: OSError | ValueError) -> None:
        """Send no more, and read on where there was a connection: what has come may say why it has ended."""
        if self._is_connecting or isinstance(error, ValueError):
            self._fail(error)
        else:
            self._is_cut = True

    def _fail(self, error: OSError | ValueError) -> None:
        if self._is_connecting and self._addresses and isinstance(error, OSError):
            self._try_next_address()
            return
        self.failure = getattr(error, "strerror", None) or str(error)
        is_made = isinstance(error, ConnectionError) and not isinstance(error, ConnectionRefusedError)
        if is_made and self._incoming is not None and not self._incoming.is_greeted:
            self.failure += ", before a greeting: does it expect TLS, or has it too many receivers?"


def _begin_to_connect(address: HostAddress) -> socket.socket:
    """Return a socket whose connection is being made; raises OSError."""
    connecting = socket.socket(address.family, address.kind, address.protocol)
    try:
        connecting.setblocking(False)
        connecting.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(BlockingIOError):  # what is sent until it is made waits
            connecting.connect(address.address)
    except OSError:
        connecting.close()
        raise
    return connecting
