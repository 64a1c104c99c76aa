"""RelayedNetwork: a TcpRouter and its TcpDealers, and between them a relay that lets through what the test says."""

import socket
from collections.abc import Callable
from contextlib import suppress

from std_daq.imaging.protocols.replication import MAX_MESSAGE_BYTES
from std_daq.streams.tcp.dealer import TcpDealer
from std_daq.streams.tcp.framing import join_address, split_address
from std_daq.streams.tcp.identity import TlsIdentity
from std_daq.streams.tcp.router import TcpRouter
from std_test_kit.memory_network import ReadableDescriptor

_PIECE_BYTES = 2**18


class RelayedNetwork:
    """What `MemoryNetwork` is, with real sockets: it cuts anywhere, also within a message.

    Parameters
    ----------
    timeout_s
        Of the routers.
    clock
        Their clock.
    identities
        For TLS: of the router and of the dealers.

    Attributes
    ----------
    router
        The one that `open` has made last.
    """

    router: TcpRouter

    def __init__(
        self,
        timeout_s: float,
        clock: Callable[[], float],
        identities: tuple[TlsIdentity, TlsIdentity] | None = None,
    ) -> None:
        self._near = None if identities is None else identities[0]
        self._far = None if identities is None else identities[1]
        self._timeout_s = timeout_s
        self._clock = clock
        self.readable = ReadableDescriptor()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self._relays: list[_Relay] = []

    def open(self) -> TcpRouter:
        """Return a new router; what connects from now on comes to it."""
        self.router = TcpRouter("tcp://127.0.0.1:0", timeout_s=self._timeout_s, identity=self._near, clock=self._clock)
        return self.router

    def connect(self, address: str) -> TcpDealer:
        """Return a dealer."""
        return _EagerDealer(self._listener.getsockname()[1], self.readable, self._far)

    def deliver(self, n_bytes: int = 10**9) -> None:
        """Let bytes come through, so many in each direction of each connection."""
        with suppress(BlockingIOError):
            while True:
                near, _ = self._listener.accept()
                far = socket.socket()
                # What the relay does not pass on is to stay with the router.
                far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _PIECE_BYTES)
                relays = [_Relay(near, far), _Relay(far, near)]
                try:
                    far.connect(split_address(self.router.address))
                except OSError:
                    relays[0].end()
                else:
                    near.setblocking(False)
                    far.setblocking(False)
                    self._relays += relays
        for relay in self._relays:
            relay.pass_on(n_bytes)
        self._relays = [relay for relay in self._relays if not relay.is_over]

    def cut(self) -> None:
        """End all connections; what is on its way is lost."""
        for relay in self._relays:
            relay.end()
        self._relays.clear()

    def close(self) -> None:
        """Let go of the sockets; the last router is its owner's."""
        self.cut()
        self._listener.close()
        self.readable.close()


class _Relay:
    """One direction of one connection."""

    def __init__(self, source: socket.socket, target: socket.socket) -> None:
        self._source, self._target = source, target
        self._held = b""

    @property
    def is_over(self) -> bool:
        return self._source.fileno() < 0

    def pass_on(self, n_bytes: int) -> None:
        try:
            while n_bytes > 0:
                if not self._held:
                    self._held = self._source.recv(min(n_bytes, _PIECE_BYTES))
                    if not self._held:
                        self.end()
                        return
                n_sent = self._target.send(self._held[:n_bytes])
                self._held = self._held[n_sent:]
                n_bytes -= n_sent
        except BlockingIOError:
            pass
        except OSError:
            self.end()

    def end(self) -> None:
        self._source.close()
        self._target.close()


class _EagerDealer(TcpDealer):
    """A dealer for whose messages nobody waits."""

    def __init__(self, port: int, readable: ReadableDescriptor, identity: TlsIdentity | None) -> None:
        super().__init__(join_address("127.0.0.1", port), max_message_bytes=MAX_MESSAGE_BYTES, identity=identity)
        self._readable = readable

    @property
    def socket(self) -> ReadableDescriptor:  # type: ignore[override]
        return self._readable
