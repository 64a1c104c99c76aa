"""TcpRouter: listens at one address, and exchanges messages with each of many peers."""

import itertools
import re
import select
import socket
import time
from collections import deque
from collections.abc import Callable

from std_daq.address_words import address_error
from std_daq.streams.descriptors import most_peers
from std_daq.streams.places import first_to_go
from std_daq.streams.tcp.framing import join_address, split_address
from std_daq.streams.tcp.identity import TlsIdentity
from std_daq.streams.tcp.peer import NoPeer, TcpPeer
from std_daq.streams.tcp.tls_transport import TlsTransport
from std_daq.streams.tcp.transport import PlainTransport, Transport
from std_daq.telemetry.logs import ConditionLog, get_logger

MAX_PEERS = 256
# Requests are short.
_TLS_BUFFER_BYTES = 2**14
_LOOKS_IN_TIMEOUT = 4


class TcpRouter:
    """The listening side of connections.

    There are places for a limited number of peers. If another one comes, a peer without a session ends (`places`).

    Parameters
    ----------
    address
        ``tcp://HOST:PORT`` to listen on; ``*`` for all addresses of this machine.
    timeout_s
        A connection is closed if no message arrives for this time, also during the TLS handshake.
    identity
        With TLS: the certificate to present, and the authorities to trust. None for connections without TLS: every peer
        that can reach the address is accepted, and nothing is encrypted.
    clock
        Returns monotonic seconds.

    Attributes
    ----------
    n_refused
        Number of connections that were ended before the peer had a session: there were too many, or the peer was
        silent, used another protocol, or was not trusted.

    Raises
    ------
    PortError
        The address cannot be bound.
    """

    def __init__(
        self,
        address: str,
        *,
        timeout_s: float,
        identity: TlsIdentity | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.n_refused = 0
        self._identity = identity
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
        self._most = most_peers(MAX_PEERS)
        if identity is None:
            _warn_if_open(address)

    @property
    def address(self) -> str:
        """The address on which the router listens, with the port that the system chose if port 0 was given."""
        return join_address(*self._listener.getsockname()[:2])

    @property
    def sockets(self) -> list[select.epoll]:
        """The objects to poll for the caller of `receive`."""
        return [self._epoll]

    def receive(self) -> tuple[bytes, bytes] | None:
        """Return the identity of a peer and its message, or None if there is no message.

        Also accepts new peers, and sends queued messages.
        """
        for _ in range(2):
            while self._round:
                peer = self._round.popleft()
                message = peer.receive(self._clock())
                if message is not None:
                    if not peer.is_gone:
                        self._next_round.append(peer)
                    return peer.identity, message
            self._begin_round()
        return None

    def peer(self, identity: bytes) -> TcpPeer | NoPeer:
        """Return the peer with an identity, or a `NoPeer` if it has gone."""
        return self._peers.get(identity) or NoPeer()

    def close(self) -> None:
        """End all connections and release the address; messages that the network has not accepted are not sent."""
        for peer in list(self._peers.values()):
            peer.end("")
        self._epoll.close()
        self._listener.close()

    def _begin_round(self) -> None:
        """Collect the peers that can be read; each gives one message per round, so that no peer delays the others."""
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
                    peer.end_silent()

    def _accept(self) -> None:
        try:
            accepted, place = self._listener.accept()
        except OSError as error:  # the peer has gone again, or this process has too many open files
            self._conditions.warning("connection_refused", why=error.strerror)
            # Ignore the listener until the next look; a peer that still waits would wake the poller again and again.
            self._epoll.modify(self._listener, 0)
            self._is_deaf = True
            return
        address = join_address(*place[:2])
        if len(self._peers) >= self._most:
            first_to_go(self._peers.values()).end(f"there are {self._most} connections already")
        accepted.setblocking(False)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        identity = next(self._identities).to_bytes(8, "big")
        peer = TcpPeer(accepted, self._transport(accepted), address, identity, self._epoll, self._clock(), self._forget)
        self._peers[identity] = self._peer_of[peer.descriptor] = peer

    def _transport(self, accepted: socket.socket) -> Transport:
        if self._identity is None:
            return PlainTransport(accepted)
        return TlsTransport(accepted, self._identity.context(), None, _TLS_BUFFER_BYTES)

    def _forget(self, peer: TcpPeer, why: str) -> None:
        del self._peers[peer.identity], self._peer_of[peer.descriptor]
        for peers in (self._round, self._next_round):
            if peer in peers:
                peers.remove(peer)
        if why:
            self.n_refused += not peer.was_served
            self._conditions.warning("connection_ended", address=peer.address, why=why)


_LOOPBACK = re.compile(r"tcp://(127\.|localhost:|\[::1\])")


def _warn_if_open(address: str) -> None:
    """Log a warning if the address can be reached from other machines without TLS."""
    if not _LOOPBACK.match(address):
        get_logger().warning(
            "open_to_everybody", address=address, remedy="use TLS (replication.send[].tls), or a firewall"
        )


def check_listener(address: str) -> None:
    """Listen at an address for a moment; raises PortError."""
    _listen(address).close()


def _listen(address: str) -> socket.socket:
    host, port = split_address(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=MAX_PEERS)
    except OSError as error:
        raise address_error(f"{address} cannot be bound", error, "replication.send") from None
    listener.setblocking(False)
    return listener
