"""TcpRouter: one address to which many peers connect, each of which is answered on its own."""

import itertools
import re
import select
import socket
import time
from collections import deque
from collections.abc import Callable

from std_daq.errors import PortError
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
    """The side that is connected to.

    Parameters
    ----------
    address
        ``tcp://HOST:PORT`` to listen at; ``*`` for all of this machine's addresses.
    timeout_s
        A connection over which no message comes for this time is ended, also in the TLS handshake.
    identity
        For TLS: what is shown to peers, and which are let in. Without it everybody who can reach the address is served,
        and nothing is encrypted.
    clock
        Monotonic seconds.

    Attributes
    ----------
    n_refused
        Connections that were ended before the peer had greeted: too many, silent, of another protocol, or with TLS not
        trusted.

    Raises
    ------
    PortError
        When the address cannot be bound.
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
        if identity is None:
            _warn_if_open(address)

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
                    if not peer.is_gone:
                        self._next_round.append(peer)
                    return peer.identity, message
            self._begin_round()
        return None

    def peer(self, identity: bytes) -> TcpPeer | NoPeer:
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
                    peer.end_silent()

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
            self.n_refused += 1
            self._conditions.warning("connection_refused", address=address, why=f"there are {MAX_PEERS} already")
            accepted.close()
            return
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
            self.n_refused += not peer.is_greeted
            self._conditions.warning("connection_ended", address=peer.address, why=why)


_LOOPBACK = re.compile(r"tcp://(127\.|localhost:|\[::1\])")


def _warn_if_open(address: str) -> None:
    """Say in the log that everybody is served who can reach an address from other machines."""
    if not _LOOPBACK.match(address):
        get_logger().warning(
            "open_to_everybody", address=address, remedy="use TLS (replication.send[].tls), or a firewall"
        )


def _listen(address: str) -> socket.socket:
    host, port = split_address(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=MAX_PEERS)
    except OSError as error:
        raise PortError(f"{address} cannot be bound: {error.strerror}") from None
    listener.setblocking(False)
    return listener
