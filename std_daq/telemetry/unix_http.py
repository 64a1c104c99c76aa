"""HTTP over a Unix socket: how services of one server are asked, whatever network each of them is in."""

import http.client
import socket
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer

from std_daq.telemetry.bounded_server import BoundedConnections


class UnixConnection(http.client.HTTPConnection):
    """The asking side.

    Parameters
    ----------
    path
        The socket.
    timeout_s
        For the connection and for each answer, in seconds.
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
    """The answering side; takes the place of a socket that a predecessor has left.

    Parameters
    ----------
    path
        The socket; its group may ask, too.
    handler
        Answers a request.
    """

    daemon_threads = True

    def __init__(self, path: Path, handler: type[BaseHTTPRequestHandler]) -> None:
        self._path = path
        self._inode: int | None = None  # of a socket that could not be made
        path.unlink(missing_ok=True)
        super().__init__(str(path), handler)
        path.chmod(0o660)
        self._inode = path.stat().st_ino

    def server_close(self) -> None:
        """Let go of the socket, and remove it unless a successor has put its own there."""
        super().server_close()
        with suppress(OSError):
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()
