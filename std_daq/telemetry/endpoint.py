"""The HTTP endpoint of a service: /metrics, /health; at its Unix socket also documents, which name runs and files."""

import json
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import BaseServer
from threading import Thread

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from std_daq.address_words import address_error
from std_daq.errors import PortError
from std_daq.telemetry.bounded_server import TcpServer
from std_daq.telemetry.documents import Document
from std_daq.telemetry.recent_warnings import RECENT_WARNINGS
from std_daq.telemetry.unix_http import UnixServer

# The server ends a connection whose client takes longer than this to send its request or to read the answer.
ASKER_TIMEOUT_S = 5.0


class TelemetryEndpoint:
    """HTTP endpoint that answers in its own threads, from its creation until `close`.

    Parameters
    ----------
    address, port
        Where to listen; with port 0 the system chooses a free port.
    registry
        The metrics to serve. Whether the service is ready is one of them.
    why_not_ready
        Called for each ``/health/ready``; returns the reason, or None when the service is ready.
    socket
        Path of a Unix socket at which the endpoint answers as well.
    find_document
        Returns the document of a path; None if there is none.

    Raises
    ------
    PortError
        The port is in use or not allowed, or the Unix socket cannot be created.
    """

    def __init__(
        self,
        address: str,
        port: int,
        registry: CollectorRegistry,
        why_not_ready: Callable[[], str | None],
        socket: Path | None = None,
        find_document: Callable[[str], Document | None] = lambda _: None,
    ) -> None:
        try:
            server = TcpServer(address, port, _handler(registry, why_not_ready, _open_to_all(find_document)))
        except OSError as error:
            raise _unusable(address, port, error) from None
        self._readiness = ReadinessCollector(registry, why_not_ready)
        self._servers: list[BaseServer] = [server]
        self._address, self._port = str(server.server_address[0]), server.server_address[1]
        if socket is not None:
            try:
                self._servers.append(
                    UnixServer(socket, _handler(registry, why_not_ready, find_document, is_of_machine=True))
                )
            except OSError as error:
                server.server_close()
                self._readiness.close()
                raise PortError(f"metrics cannot be served at {socket}: {error.strerror or error}") from None
        self._threads = [
            Thread(target=server.serve_forever, args=(0.1,), name="telemetry", daemon=True) for server in self._servers
        ]
        with _signals_held_back():
            for thread in self._threads:
                thread.start()

    @property
    def address(self) -> str:
        """The address at which the endpoint listens."""
        return self._address

    @property
    def port(self) -> int:
        """The TCP port at which the endpoint listens."""
        return self._port

    @property
    def url(self) -> str:
        """The endpoint's address as ``http://address:port``."""
        return f"http://{url_host(self._address)}:{self._port}"

    def close(self) -> None:
        """Stop the servers and wait for their threads."""
        for server in self._servers:
            server.shutdown()
            server.server_close()
        for thread in self._threads:
            thread.join()
        self._readiness.close()


def check_endpoint(address: str, ports: Iterable[int]) -> None:
    """Listen at each port of an address for a moment; raises PortError as `TelemetryEndpoint` does."""
    for port in ports:
        try:
            TcpServer(address, port, _handler(CollectorRegistry(), lambda: None, lambda _: None)).server_close()
        except OSError as error:
            raise _unusable(address, port, error) from None


def _unusable(address: str, port: int, error: OSError) -> PortError:
    return address_error(
        f"metrics cannot be served at {address}:{port}", error, "--metrics-port, metrics.ports or metrics.address"
    )


class ReadinessCollector(Collector):
    """The metric ``daq_ready``: 1 while a service is ready; it stays in the registry until `close`.

    Parameters
    ----------
    registry
        Registry of the process.
    why_not_ready
        Returns the reason, or None when the service is ready.
    """

    def __init__(self, registry: CollectorRegistry, why_not_ready: Callable[[], str | None]) -> None:
        self._registry = registry
        self._why_not_ready = why_not_ready
        registry.register(self)

    def collect(self) -> Iterable[Metric]:
        """Yield the metric as it is now."""
        is_ready = self._why_not_ready() is None
        yield GaugeMetricFamily("daq_ready", "1 while the service does its work.", value=is_ready)

    def close(self) -> None:
        """Remove the metric."""
        self._registry.unregister(self)


def url_host(address: str) -> str:
    """Return an address as it is written in a URL: an IPv6 address in brackets."""
    return f"[{address}]" if ":" in address else address


@contextmanager
def _signals_held_back() -> Iterator[None]:
    """Start threads that never receive SIGTERM or SIGINT.

    The main thread may hold these signals back until it has become another program; a thread that could receive
    them would take them away from it.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _open_to_all(find_document: Callable[[str], Document | None]) -> Callable[[str], Document | None]:
    def find(path: str) -> Document | None:
        document = find_document(path)
        return None if document is None or document.is_of_machine else document

    return find


def _respond(find_document: Callable[[str], Document | None], path: str) -> tuple[HTTPStatus, str, bytes]:
    """Return status, type and body of the answer to a request for a document."""
    name, _, query = path.partition("?")
    document = find_document(name)
    if document is None:
        return HTTPStatus.NOT_FOUND, "text/plain", b"known: /metrics /health/live /health/ready\n"
    status, content = document.respond(query)
    return status, "application/json", json.dumps(content).encode()


def _handler(
    registry: CollectorRegistry,
    why_not_ready: Callable[[], str | None],
    find_document: Callable[[str], Document | None],
    *,
    is_of_machine: bool = False,
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = ASKER_TIMEOUT_S

        def handle(self) -> None:
            with suppress(ConnectionError):  # the client left before it had its answer
                super().handle()

        def do_GET(self) -> None:
            if self.path == "/metrics":
                self._answer(HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest(registry))
            elif self.path == "/warnings" and is_of_machine:  # they name files and runs
                self._answer(HTTPStatus.OK, "application/json", RECENT_WARNINGS.to_json())
            elif self.path == "/health/live":
                self._answer_health(None)
            elif self.path == "/health/ready":
                self._answer_health(why_not_ready())
            else:
                self._answer(*_respond(find_document, self.path))

        def _answer_health(self, reason: str | None) -> None:
            if reason is None:
                self._answer(HTTPStatus.OK, "application/json", b'{"ok": true}')
            else:
                body = json.dumps({"ok": False, "reason": reason}).encode()
                self._answer(HTTPStatus.SERVICE_UNAVAILABLE, "application/json", body)

        def _answer(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in http.server
            pass

    return Handler
