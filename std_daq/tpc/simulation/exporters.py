"""ExporterSet: TCP servers that send frames, as those of the CoBos do."""

import selectors
import socket
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

from std_daq.address_words import address_in_words
from std_daq.errors import PortError
from std_daq.tpc.config import split_address

# The real exporter queues without bound. This one gives a client up instead of filling the memory.
MAX_QUEUED_BYTES = 10**9
_BACKLOG = 16
_AT_ONCE = 64


class _Client:
    """A connected client and what is queued for it."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.queue: deque[memoryview] = deque()
        self.n_queued = 0

    def put(self, message: bytes) -> None:
        self.queue.append(memoryview(message))
        self.n_queued += len(message)

    def flush(self) -> int:
        """Send what the socket takes now; returns the number of bytes. Raises OSError if the client is gone."""
        n_sent = 0
        while self.queue:
            parts = [self.queue[i] for i in range(min(_AT_ONCE, len(self.queue)))]
            try:
                n = self.connection.sendmsg(parts)
            except BlockingIOError:
                break
            n_sent += n
            self._remove(n)
        self.n_queued -= n_sent
        return n_sent

    def _remove(self, n: int) -> None:
        while n and n >= len(self.queue[0]):
            n -= len(self.queue.popleft())
        if n:
            self.queue[0] = self.queue[0][n:]


class SimulatedExporter:
    """One server; each of its clients has a queue of its own.

    Attributes
    ----------
    address
        ``host:port`` at which it listens; with port 0 in the argument, any free one.
    n_dropped_clients
        Clients that were given up because their queue was full.
    n_taken_bytes
        Bytes that clients have taken.
    """

    def __init__(self, address: str, selector: selectors.BaseSelector) -> None:
        host, port = split_address(address)
        self._selector = selector
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.bind((host, port))
            self._listener.listen(_BACKLOG)
        except OSError as error:
            self._listener.close()
            raise PortError(f"an exporter cannot listen at {address}: {address_in_words(error)}") from None
        self._listener.setblocking(False)
        self.address = f"{address.rpartition(':')[0]}:{self._listener.getsockname()[1]}"
        self._clients: dict[socket.socket, _Client] = {}
        self.n_dropped_clients = 0
        self.n_taken_bytes = 0
        selector.register(self._listener, selectors.EVENT_READ, self)

    @property
    def n_clients(self) -> int:
        """Number of connected clients."""
        return len(self._clients)

    @property
    def n_queued(self) -> int:
        """Bytes that wait for the slowest client."""
        return max((client.n_queued for client in self._clients.values()), default=0)

    def send(self, message: bytes) -> None:
        """Queue a message for all clients."""
        for client in list(self._clients.values()):
            client.put(message)
            if client.n_queued > MAX_QUEUED_BYTES:
                self.n_dropped_clients += 1
                self._drop(client)

    def flush(self) -> int:
        """Send what the clients take now; returns the number of bytes."""
        n_sent = 0
        for client in list(self._clients.values()):
            try:
                n_sent += client.flush()
            except OSError:
                self._drop(client)
        self.n_taken_bytes += n_sent
        return n_sent

    def handle(self, ready: socket.socket) -> None:
        """Take a new client, or notice that one is gone."""
        if ready is self._listener:
            with suppress(OSError):
                connection, _ = self._listener.accept()
                connection.setblocking(False)
                self._clients[connection] = _Client(connection)
                self._selector.register(connection, selectors.EVENT_READ, self)
            return
        client = self._clients.get(ready)
        if client is None:
            return
        try:
            is_gone = not ready.recv(4096)  # clients have nothing to say
        except BlockingIOError:
            return
        except OSError:
            is_gone = True
        if is_gone:
            self._drop(client)

    def drop_clients(self) -> None:
        """Close all connections, as an exporter that is started again does."""
        for client in list(self._clients.values()):
            self._drop(client)

    def close(self) -> None:
        """Close all sockets; what the kernel has is still delivered."""
        self.drop_clients()
        self._selector.unregister(self._listener)
        self._listener.close()

    def _drop(self, client: _Client) -> None:
        self._clients.pop(client.connection)
        self._selector.unregister(client.connection)
        client.connection.close()


class ExporterSet:
    """The exporters of a chamber, in one thread.

    Raises
    ------
    PortError
        An address is in use or not one of this machine.
    """

    def __init__(self, addresses: Sequence[str]) -> None:
        self._selector = selectors.DefaultSelector()
        self.exporters: list[SimulatedExporter] = []
        try:
            for address in addresses:
                self.exporters.append(SimulatedExporter(address, self._selector))
        except PortError:
            self.close()
            raise

    def has_clients(self, n_clients: int) -> bool:
        """Return whether each exporter has so many clients."""
        return all(exporter.n_clients >= n_clients for exporter in self.exporters)

    @property
    def n_queued(self) -> int:
        """Bytes that wait for the slowest client."""
        return max(exporter.n_queued for exporter in self.exporters)

    def step(self, timeout_s: float) -> int:
        """Take new clients and send what is queued; waits at most so long if there is nothing to do.

        Returns
        -------
        The number of bytes sent.
        """
        n_sent = sum(exporter.flush() for exporter in self.exporters)
        wait_s = 0.0 if n_sent else min(timeout_s, 0.001) if self.n_queued else timeout_s
        for key, _ in self._selector.select(max(0.0, wait_s)):
            exporter: SimulatedExporter = key.data
            exporter.handle(key.fileobj)  # type: ignore[arg-type]  # sockets were registered
        return n_sent

    def close(self) -> None:
        """Close all exporters."""
        for exporter in self.exporters:
            exporter.close()
        self._selector.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
