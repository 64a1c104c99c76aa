"""HTTP over a Unix socket.

Commands ask the services of their server this way. It works also where a service is in a container with a network of
its own.
"""

import http.client
import socket
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer

from std_daq.telemetry.bounded_server import BoundedConnections


class UnixConnection(http.client.HTTPConnection):
    """HTTP client at a Unix socket.

    Parameters
    ----------
    path
        Path of the socket.
    timeout_s
        Longest wait for the connection, and for each answer, in seconds.
    """

    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket; raises OSError."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class UnixServer(BoundedConnections, ThreadingUnixStreamServer):
    """HTTP server at a Unix socket; it replaces a socket that an earlier process left at the same path.

    Parameters
    ----------
    path
        Path of the socket; the owner and the group of the socket may connect.
    handler
        Class that answers a request.
    """

    daemon_threads = True

    def __init__(self, path: Path, handler: type[BaseHTTPRequestHandler]) -> None:
        self._path = path
        self._inode: int | None = None  # until the socket exists; `server_close` then removes nothing
        path.unlink(missing_ok=True)
        super().__init__(str(path), handler)
        path.chmod(0o660)
        self._inode = path.stat().st_ino

    def server_close(self) -> None:
        """Close the socket, and remove its file unless a later process has put its own socket there."""
        super().server_close()
        with suppress(OSError):
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()
