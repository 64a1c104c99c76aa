"""A TCP connection that can be cut or stall: stands between a client and a server on loopback."""

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self

HOST = "127.0.0.1"
CHUNK_BYTES = 65536


class TcpProxy:
    """Forwards connections to a server until they are cut; a context manager.

    Parameters
    ----------
    port
        Port of the server on loopback.
    """

    def __init__(self, port: int) -> None:
        self._server_port = port
        self._listener = socket.create_server((HOST, 0))
        self.port = int(self._listener.getsockname()[1])
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._is_up = True
        self._flow = threading.Event()
        self._flow.set()

    def stall(self) -> None:
        """Let nothing through, and tell nobody, as a cable that was pulled out; until `restore`."""
        self._flow.clear()

    def cut(self) -> None:
        """End all connections, and each new one at once."""
        with self._lock:
            self._is_up = False
            for end in self._sockets:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            self._sockets.clear()
        self._flow.set()

    def restore(self) -> None:
        """Take connections again, and let everything through."""
        with self._lock:
            self._is_up = True
        self._flow.set()

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cut()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _start(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._join(client)

    def _join(self, client: socket.socket) -> None:
        """Connect a client to the server and forward in both directions."""
        with self._lock:
            try:
                server = socket.create_connection((HOST, self._server_port)) if self._is_up else None
            except OSError:
                server = None
            if server is None:
                client.close()
                return
            self._sockets += [client, server]
        ends = _Pair(self._flow, client, server)
        self._start(ends.forward, client, server)
        self._start(ends.forward, server, client)


class _Pair:
    """Two sockets, which are closed when both directions have ended."""

    def __init__(self, flow: threading.Event, *sockets: socket.socket) -> None:
        self._flow = flow
        self._sockets = sockets
        self._lock = threading.Lock()
        self._n_open = 2

    def forward(self, source: socket.socket, sink: socket.socket) -> None:
        """Copy bytes until one side ends."""
        with contextlib.suppress(OSError):
            while chunk := source.recv(CHUNK_BYTES):
                self._flow.wait()
                sink.sendall(chunk)
        with self._lock:
            self._n_open -= 1
            for end in self._sockets:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                if self._n_open == 0:
                    end.close()
