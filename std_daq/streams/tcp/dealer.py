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

# A dealer receives pixels, in large messages.
_TLS_BUFFER_BYTES = 2**20


class TcpDealer:
    """The connecting side of one connection; it does not reconnect, and sets `failure` when the connection ends.

    Parameters
    ----------
    address
        ``tcp://HOST:PORT``. If the host has several addresses, they are tried one after the other.
    max_message_bytes
        The dealer disconnects from a peer that sends a larger message to `receive`; `receive_into` is limited by its
        memory.
    identity
        With TLS: the certificate to present, and the authorities to trust. None for a connection without TLS.
    server_name
        With TLS: the name for which the certificate of the peer must be valid; by default the host in the address.

    Attributes
    ----------
    failure
        Why the connection has ended, or could not be made; empty until then.

    Raises
    ------
    PortError
        ``address`` is not valid.
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
        """An object to poll; it is ready when something arrives, or when the connection is made and can send.

        The end of the host look-up does not make it ready: the caller must call `receive` from time to time.
        """
        return self._epoll

    def send(self, message: bytes) -> None:
        """Send a message, or queue it; drops the message if the connection has ended or too much is queued."""
        if self.failure or self._is_cut:
            return
        try:
            self._outgoing.put(message)
        except (OSError, ValueError) as error:
            self._stop_sending(error)
        self._advance()

    def receive(self) -> bytes | None:
        """Return the next message, or None if it has not arrived."""
        incoming = self._advance()
        if incoming is None:
            return None
        try:
            return incoming.receive()
        except (OSError, ValueError) as error:
            self._fail(error)
            return None

    def receive_into(self, memory: memoryview) -> int | None:
        """Receive the next message into memory; call it again with the same memory until the message is complete.

        Returns
        -------
        Size of the message, or None if it is not complete.
        """
        incoming = self._advance()
        if incoming is None:
            return None
        try:
            return incoming.receive_into(memory)
        except (OSError, ValueError) as error:
            self._fail(error)
            return None

    def close(self, linger_s: float = 0.0) -> None:  # noqa: ARG002 - the kernel sends the bytes that it has accepted
        """End the connection."""
        self._epoll.close()
        if self._socket is not None:
            self._socket.close()

    def _advance(self) -> Incoming | None:
        """Continue to connect, and send queued messages; returns the incoming side, or None while it is not usable."""
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
        """Begin to connect if the look-up of the host has finished."""
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
        """Stop sending, but continue to read an established connection: the data may say why the peer ended it."""
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
            self.failure += ", before a greeting: does the peer expect TLS, or has it too many receivers?"


def _begin_to_connect(address: HostAddress) -> socket.socket:
    """Return a socket that has begun to connect; raises OSError."""
    connecting = socket.socket(address.family, address.kind, address.protocol)
    try:
        connecting.setblocking(False)
        connecting.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(BlockingIOError):  # the connection is completed later
            connecting.connect(address.address)
    except OSError:
        connecting.close()
        raise
    return connecting
