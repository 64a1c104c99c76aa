"""TcpPeer: one connection of a `TcpRouter`, as the router sees it."""

import select
import socket
from collections.abc import Callable

from std_daq.streams.tcp.incoming import Incoming
from std_daq.streams.tcp.outgoing import Departure, Outgoing
from std_daq.streams.tcp.transport import Transport
from std_daq.telemetry.logs import get_logger

MAX_REQUEST_BYTES = 2**12


class TcpPeer:
    """One connection of a `TcpRouter`.

    Attributes
    ----------
    address
        Where it comes from.
    identity
        As the router names it.
    descriptor
        Of its socket.
    heard_at
        When something has come over it.
    is_gone
        Whether it has ended.
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
        self.heard_at = now
        self.is_gone = False
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
        """Whether the peer has proved to be one of ours."""
        return self._incoming.is_greeted

    def receive(self, now: float) -> bytes | None:
        """Return the next message, None where it has not come."""
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
            self.transmit()  # what has waited for the end of the handshake
        return message

    def end_silent(self) -> None:
        """End the connection because nothing came over it."""
        self.end("it was silent" if self._transport.is_open else "it did not finish the TLS handshake")

    def send(self, message: bytes) -> bool:
        """Queue a message; returns False, and queues nothing, where enough waits or the peer is gone."""
        return self._put(message) is not None

    def send_in_place(self, memory: memoryview) -> Departure | None:
        """Queue memory that is read when the network takes it; None as `send` returns False.

        Returns
        -------
        Its ``done`` tells when the memory has been read.
        """
        return self._put(memory)

    def transmit(self) -> None:
        """Hand over to the network what it takes of what is queued; the rest follows when it takes more."""
        if self.is_gone:
            return
        try:
            self._outgoing.transmit()
        except (OSError, ValueError) as error:
            self._end_after(error)
            return
        self._wait_for_room()

    def end(self, why: str) -> None:
        """End the connection, and say why in the log, if there is something to say; what is queued is not sent."""
        if self.is_gone:
            return
        self.is_gone = True
        self._forget(self, why)
        self._outgoing.end()
        self._epoll.unregister(self.descriptor)
        self._socket.close()

    def _end_after(self, error: OSError | ValueError) -> None:
        """End the connection: that it has broken off is nothing to say, why this side ends it is."""
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
        """Have the router's poller wake up when the network takes more, and only if there is more."""
        events = select.EPOLLIN | (select.EPOLLOUT if self._outgoing.waits_for_room else 0)
        if events != self._events:
            self._events = events
            self._epoll.modify(self.descriptor, events)


class NoPeer:
    """The way to a peer that is not there any more."""

    is_gone = True

    def send(self, message: bytes) -> bool:  # noqa: ARG002 - as one that is there
        """Return that it cannot be sent."""
        return False

    def send_in_place(self, memory: memoryview) -> None:
        """Return that it cannot be sent."""

    def transmit(self) -> None:
        """Do nothing: nothing is queued."""
