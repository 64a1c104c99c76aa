"""Servers that bound what askers may keep: a service must not run out of files or threads because of them."""

import socket
from collections import OrderedDict
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from socketserver import BaseServer, ThreadingTCPServer
from threading import Lock
from typing import Any

MAX_CONNECTIONS = 32


class BoundedConnections(BaseServer):
    """For servers of one thread a connection: where one comes too many, the one that has been there longest goes."""

    request_queue_size = MAX_CONNECTIONS

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._connections: OrderedDict[int, socket.socket] = OrderedDict()
        self._lock = Lock()
        super().__init__(*arguments, **options)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Take a connection."""
        with self._lock:
            self._connections[id(request)] = request
            oldest = self._connections.popitem(last=False)[1] if len(self._connections) > MAX_CONNECTIONS else None
        if oldest is not None:
            with suppress(OSError):
                oldest.shutdown(socket.SHUT_RDWR)  # its thread finds that it has ended, and closes it
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """End a connection."""
        with self._lock:
            self._connections.pop(id(request), None)
        super().shutdown_request(request)


class TcpServer(BoundedConnections, ThreadingTCPServer):
    """Answers at an address of IPv4 or IPv6; unlike Python's own HTTP server it asks no name server at its start.

    Parameters
    ----------
    address, port
        Where to listen; port 0 takes any free one.
    handler
        Answers a request.
    """

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, address: str, port: int, handler: type[BaseHTTPRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        super().__init__((address, port), handler)
