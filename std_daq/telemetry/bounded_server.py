"""Servers with an upper bound of connections, so that clients cannot use up a service's files and threads."""

import socket
import time
from collections import OrderedDict
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from socketserver import BaseServer, ThreadingTCPServer
from threading import Lock
from typing import Any

MAX_CONNECTIONS = 32
# After a connection could not be accepted: the process can open no more files now.
_PAUSE_S = 0.1


class BoundedConnections(BaseServer):
    """Mixin for servers with one thread per connection: above `MAX_CONNECTIONS` it ends the oldest connection."""

    request_queue_size = MAX_CONNECTIONS

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._connections: OrderedDict[int, socket.socket] = OrderedDict()
        self._lock = Lock()
        super().__init__(*arguments, **options)

    def get_request(self) -> Any:
        """Accept a connection; if that fails, pause, because the connection still waits and the server looks again."""
        try:
            return super().get_request()
        except OSError:
            time.sleep(_PAUSE_S)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a new connection, and end the oldest one if there are too many now."""
        with self._lock:
            self._connections[id(request)] = request
            oldest = self._connections.popitem(last=False)[1] if len(self._connections) > MAX_CONNECTIONS else None
        if oldest is not None:
            with suppress(OSError):
                oldest.shutdown(socket.SHUT_RDWR)  # the connection's own thread then reads the end and closes it
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        with self._lock:
            self._connections.pop(id(request), None)
        super().shutdown_request(request)


class TcpServer(BoundedConnections, ThreadingTCPServer):
    """HTTP server at an IPv4 or IPv6 address; unlike Python's own HTTP server, it starts without a DNS query.

    Parameters
    ----------
    address, port
        Where to listen; with port 0 the system chooses a free port.
    handler
        Class that answers a request.
    """

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, address: str, port: int, handler: type[BaseHTTPRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        super().__init__((address, port), handler)
