"""TcpRouter: what `Router` is, over plain TCP: for those that need no encryption, and all of the network's speed."""

import itertools
import select
import socket
import time
from collections import deque
from collections.abc import Callable

from std_daq.errors import PortError
from std_daq.streams.framing import join_address, split_address
from std_daq.streams.incoming import Incoming
from std_daq.streams.outgoing import Departure, Outgoing
from std_daq.streams.router import warn_if_open
from std_daq.telemetry.logs import ConditionLog

LARGEST_REQUEST_BYTES = 2**12
MAX_PEERS = 256
_LOOKS_IN_TIMEOUT = 4


class TcpRouter:
    """The side that is connected to.

    Parameters
    ----------
    address
        ``tcp://HOST:PORT`` to listen at; ``*`` for all of this machine's addresses.
    timeout_s
        A connection over which nothing comes for this time is ended.
    clock
        Monotonic seconds.

    Raises
    ------
    PortError
        When the address cannot be bound.
    """

    def __init__(self, address: str, *, timeout_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._timeout_s = timeout_s
        self._clock = clock
        self._conditions = ConditionLog()
        self._listener = _listen(address)
        self._epoll = select.epoll()
        self._epoll.register(self._listener, select.EPOLLIN)
        self._identities = itertools.count(1)
        self._peers: dict[bytes, TcpPeer] = {}
        self._peer_of: dict[int, TcpPeer] = {}
        self._round: deque[TcpPeer] = deque()
        self._next_round: deque[TcpPeer] = deque()
        self._next_look = clock() + timeout_s
        self._is_deaf = False
        warn_if_open(address)

    @property
    def address(self) -> str:
        """Where it can be reached; with the port that the system has chosen if the address had none."""
        return join_address(*self._listener.getsockname()[:2])

    @property
    def sockets(self) -> list[select.epoll]:
        """For the poller of whoever calls `receive`."""
        return [self._epoll]

    def receive(self) -> tuple[bytes, bytes] | None:
        """Return a peer's identity and its message, None where there is none; also lets in new peers.

        What waits for peers is sent on meanwhile.
        """
        for _ in range(2):
            while self._round:
                peer = self._round.popleft()
                message = peer.receive(self._clock())
                if message is not None:
                    self._next_round.append(peer)
                    return peer.identity, message
            self._begin_round()
        return None

    def peer(self, identity: bytes) -> "TcpPeer | NoPeer":
        """Return the way to a peer."""
        return self._peers.get(identity) or NoPeer()

    def close(self) -> None:
        """Let go of the address; what the network has not taken is not sent."""
        for peer in list(self._peers.values()):
            peer.end("")
        self._epoll.close()
        self._listener.close()

    def _begin_round(self) -> None:
        """See who has something to say: each one message in turn, so that nobody keeps the others waiting."""
        self._round, self._next_round = self._next_round, deque()
        for descriptor, events in self._epoll.poll(0):
            peer = self._peer_of.get(descriptor)
            if peer is None:
                self._accept()
                continue
            if events & select.EPOLLOUT:
                peer.transmit()
            if events & ~select.EPOLLOUT and peer not in self._round:
                self._round.append(peer)
        now = self._clock()
        if now >= self._next_look:
            self._next_look = now + self._timeout_s / _LOOKS_IN_TIMEOUT
            if self._is_deaf:
                self._epoll.modify(self._listener, select.EPOLLIN)
                self._is_deaf = False
            for peer in list(self._peers.values()):
                if now - peer.heard_at > self._timeout_s:
                    peer.end("it was silent")

    def _accept(self) -> None:
        try:
            accepted, place = self._listener.accept()
        except OSError as error:  # it has gone again, or there are too many files
            self._conditions.warning("connection_refused", why=error.strerror)
            # Until the next look: whoever still waits would wake us up at once, again and again.
            self._epoll.modify(self._listener, 0)
            self._is_deaf = True
            return
        address = join_address(*place[:2])
        if len(self._peers) >= MAX_PEERS:
            self._conditions.warning("connection_refused", address=address, why=f"there are {MAX_PEERS} already")
            accepted.close()
            return
        identity = next(self._identities).to_bytes(8, "big")
        peer = TcpPeer(accepted, address, identity, self._epoll, self._clock(), self._forget)
        self._peers[identity] = self._peer_of[peer.descriptor] = peer

    def _forget(self, peer: "TcpPeer", why: str) -> None:
        del self._peers[peer.identity], self._peer_of[peer.descriptor]
        for peers in (self._round, self._next_round):
            if peer in peers:
                peers.remove(peer)
        if why:
            self._conditions.warning("connection_ended", address=peer.address, why=why)


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
        address: str,
        identity: bytes,
        epoll: select.epoll,
        now: float,
        forget: "Callable[[TcpPeer, str], None]",
    ) -> None:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.address = address
        self.identity = identity
        self.descriptor = connection.fileno()
        self.heard_at = now
        self.is_gone = False
        self._socket = connection
        self._epoll = epoll
        self._forget = forget
        self._incoming = Incoming(connection, LARGEST_REQUEST_BYTES)
        self._outgoing = Outgoing(connection)
        self._events = select.EPOLLIN | select.EPOLLOUT
        epoll.register(self.descriptor, self._events)

    def receive(self, now: float) -> bytes | None:
        """Return the next message, None where it has not come."""
        try:
            message = self._incoming.receive()
        except OSError:
            self.end("")
            return None
        except ValueError as error:
            self.end(str(error))
            return None
        if message is not None:
            self.heard_at = now
        return message

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
        except OSError:
            self.end("")
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

    def _put(self, message: bytes | memoryview) -> Departure | None:
        if self.is_gone:
            return None
        try:
            departure = self._outgoing.put(message)
        except OSError:
            self.end("")
            return None
        if departure is None:
            self._wait_for_room()
        return departure

    def _wait_for_room(self) -> None:
        """Have the router's poller wake up when the network takes more, and only if there is more."""
        events = select.EPOLLIN | (select.EPOLLOUT if self._outgoing.n_waiting else 0)
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


def _listen(address: str) -> socket.socket:
    host, port = split_address(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=MAX_PEERS)
    except OSError as error:
        raise PortError(f"{address} cannot be bound: {error.strerror}") from None
    listener.setblocking(False)
    return listener
