"""The HTTP endpoint of a service: /metrics, /health/live, /health/ready."""

import json
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from std_daq.errors import PortError


class TelemetryEndpoint:
    """Answers in a thread of its own until it is closed.

    Parameters
    ----------
    address, port
        Where to listen; port 0 takes any free one.
    registry
        The metrics.
    why_not_ready
        Asked for each /health/ready: the reason, or None when the service is ready.

    Raises
    ------
    PortError
        When the port is taken or not allowed.
    """

    def __init__(
        self, address: str, port: int, registry: CollectorRegistry, why_not_ready: Callable[[], str | None]
    ) -> None:
        try:
            self._server = ThreadingHTTPServer((address, port), _handler(registry, why_not_ready))
        except OSError as error:
            raise PortError(
                f"metrics cannot be served at {address}:{port}: {error.strerror}; "
                "choose another --metrics-port or metrics.address"
            ) from None
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, args=(0.1,), name="telemetry", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it answers, as ``http://address:port``."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(registry: CollectorRegistry, why_not_ready: Callable[[], str | None]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/metrics":
                self._answer(HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest(registry))
            elif self.path == "/health/live":
                self._answer_health(None)
            elif self.path == "/health/ready":
                self._answer_health(why_not_ready())
            else:
                self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"known: /metrics /health/live /health/ready\n")

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
