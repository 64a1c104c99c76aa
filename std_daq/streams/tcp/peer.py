"""TcpPeer: one connection of a `TcpRouter`."""

import select
import socket
from collections.abc import Callable

from std_daq.streams.tcp.framing import split_address
from std_daq.streams.tcp.incoming import Incoming
from std_daq.streams.tcp.outgoing import Departure, Outgoing
from std_daq.streams.tcp.transport import Transport
from std_daq.telemetry.logs import get_logger

MAX_REQUEST_BYTES = 2**12


class TcpPeer:
    """The router's end of one connection.

    Attributes
    ----------
    address
        Address of the peer.
    identity
        Identity that the router has given to the peer.
    descriptor
        File descriptor of the socket.
    heard_at
        Time at which the last message arrived, in monotonic seconds.
    is_gone
        Whether the connection has ended.
    host
        Host of the peer.
    connected_at
        Time of the connection, or of the end of the last session, in monotonic seconds.
    is_served
        Whether the peer has a session; then it keeps its place before others.
    """

    def __init__(
        self,
        connection: socket.socket,
        transport: Transport,
        address: str,
        identity: bytes,
        epoll: select.epoll,
        now: float,
        forget: "Callable[[TcpPeer, str], None]",
    ) -> None:
        self.address = address
        self.identity = identity
        self.descriptor = connection.fileno()
        self.host = split_address(address)[0]
        self.heard_at = self.connected_at = now
        self.is_gone = self.is_served = self.was_served = False
        self._socket = connection
        self._epoll = epoll
        self._forget = forget
        self._transport = transport
        self._incoming = Incoming(transport, MAX_REQUEST_BYTES)
        self._outgoing = Outgoing(transport)
        self._events = select.EPOLLIN | select.EPOLLOUT
        epoll.register(self.descriptor, self._events)

    @property
    def is_greeted(self) -> bool:
        """Whether the peer has sent a valid greeting."""
        return self._incoming.is_greeted

    def receive(self, now: float) -> bytes | None:
        """Return the next message, or None if it has not arrived."""
        was_open = self._transport.is_open
        try:
            message = self._incoming.receive()
        except (OSError, ValueError) as error:
            self._end_after(error)
            return None
        if message is not None:
            self.heard_at = now
        if self._transport.is_open and not was_open:
            get_logger().info("connection_secured", address=self.address, certificate=self._transport.peer_name)
            self.transmit()  # messages that were queued during the handshake
        return message

    def keep(self) -> None:
        """Note that the peer has a session."""
        self.is_served = self.was_served = True

    def release(self) -> None:
        """Note that the session of the peer has ended."""
        self.is_served = False
        self.connected_at = self.heard_at

    def end_silent(self) -> None:
        """End the connection because no message arrived in time."""
        self.end("the peer was silent" if self._transport.is_open else "the peer did not finish the TLS handshake")

    def send(self, message: bytes) -> bool:
        """Queue a message; returns False, and queues nothing, if too much is queued or the peer has gone."""
        return self._put(message) is not None

    def send_in_place(self, memory: memoryview) -> Departure | None:
        """Queue memory without a copy; it is read when the network accepts the bytes.

        Returns
        -------
        A departure, whose ``done`` tells whether the memory has been read; None if nothing was queued, as for `send`.
        """
        return self._put(memory)

    def transmit(self) -> None:
        """Send as many queued bytes as the network accepts; the poller sends the rest when it accepts more."""
        if self.is_gone:
            return
        try:
            self._outgoing.transmit()
        except (OSError, ValueError) as error:
            self._end_after(error)
            return
        self._wait_for_room()

    def end(self, why: str) -> None:
        """End the connection, and log ``why`` unless it is empty; queued messages are not sent."""
        if self.is_gone:
            return
        self.is_gone = True
        self._forget(self, why)
        self._outgoing.end()
        self._epoll.unregister(self.descriptor)
        self._socket.close()

    def _end_after(self, error: OSError | ValueError) -> None:
        """End the connection; logs a reason only if this side ends it, and not if the connection has broken."""
        self.end(str(error) if isinstance(error, ValueError) else "")

    def _put(self, message: bytes | memoryview) -> Departure | None:
        if self.is_gone:
            return None
        try:
            departure = self._outgoing.put(message)
        except (OSError, ValueError) as error:
            self._end_after(error)
            return None
        if departure is None:
            self._wait_for_room()
        return departure

    def _wait_for_room(self) -> None:
        """Make the poller of the router wake up when the network accepts more, but only if bytes are queued."""
        events = select.EPOLLIN | (select.EPOLLOUT if self._outgoing.waits_for_room else 0)
        if events != self._events:
            self._events = events
            self._epoll.modify(self.descriptor, events)


class NoPeer:
    """Stands in for a peer that has gone; it sends nothing."""

    is_gone = True
    host = ""

    def send(self, message: bytes) -> bool:  # noqa: ARG002 - the signature of `TcpPeer.send`
        """Return False, because nothing can be queued."""
        return False

    def send_in_place(self, memory: memoryview) -> None:
        """Return None, because nothing can be queued."""

    def transmit(self) -> None:
        """Do nothing: nothing is queued."""

    def keep(self) -> None:
        """Do nothing: the peer has no place."""

    def release(self) -> None:
        """Do nothing: the peer has no place."""
