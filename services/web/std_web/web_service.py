"""WebService: the service that answers browsers and programs; uvicorn runs the application in a thread of its own."""

import socket
import threading
from typing import Any

import uvicorn

from std_daq.address_words import address_error
from std_daq.errors import ResourceError
from std_daq.telemetry.endpoint import url_host
from std_daq.telemetry.logs import get_logger
from std_web.app import WebSettings, make_app
from std_web.connections import WebSocketConnection, bounded
from std_web.limits import Bounds, ClientCount
from std_web.options import WebOptions

_WAIT_S = 0.1
_END_S = 1.0
_BACKLOG = 256
_MAX_MESSAGE_BYTES = 64 * 1024
_MAX_HEAD_BYTES = 32 * 1024


class WebService:
    """The service.

    Parameters
    ----------
    settings
        With what the application is made.
    options
        Where it listens, and its bounds.

    Raises
    ------
    PortError
        The address or port cannot be used.
    """

    def __init__(self, settings: WebSettings, options: WebOptions) -> None:
        self._listening = listen(options.address, options.port)
        connections = ClientCount(Bounds(options.max_connections, options.max_connections_of_client))
        self._server = uvicorn.Server(
            uvicorn.Config(
                make_app(settings),
                http=bounded(connections, settings.metrics),
                ws=WebSocketConnection,
                ws_max_size=_MAX_MESSAGE_BYTES,
                ws_per_message_deflate=False,
                lifespan="on",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                h11_max_incomplete_event_size=_MAX_HEAD_BYTES,
                timeout_graceful_shutdown=int(_END_S),
            )
        )
        self._error: BaseException | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """URL of the page."""
        host, port = self._listening.getsockname()[:2]
        return f"http://{url_host(host)}:{port}"

    @property
    def is_ready(self) -> bool:
        """Whether requests are answered."""
        return self.why_not_ready is None

    @property
    def why_not_ready(self) -> str | None:
        """What the service waits for; None if it is ready."""
        return None if self._server.started else "its parts are starting"

    def step(self) -> None:
        """Wait 0.1 s; raises ResourceError if the server has ended by itself."""
        if self._stopped.wait(_WAIT_S):
            raise ResourceError(f"the web server has ended: {self._error or 'its log tells why'}")

    def close(self) -> None:
        """End all connections and the server."""
        self._server.should_exit = True
        self._thread.join(2 * _END_S)
        self._server.force_exit = True
        self._thread.join()
        self._listening.close()

    def _run(self) -> None:
        try:
            self._server.run(sockets=[self._listening])
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the top of a thread; `step` tells it
            self._error = error
            get_logger().error("web_server_failed", error=repr(error), exc_info=error)
        finally:
            self._stopped.set()


def listen(address: str, port: int) -> socket.socket:
    """Return a socket that listens; raises PortError if the address or port cannot be used."""
    try:
        family, *_, place = _place(address, port)
        listening = socket.socket(family, socket.SOCK_STREAM)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            # Connections inherit it. Without it, the body of an answer waits for the client to confirm the head, 40 ms
            # on a connection that is used again; asyncio sets it only where the socket was made with the protocol.
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            listening.bind(place)
            listening.listen(_BACKLOG)
        except OSError:
            listening.close()
            raise
    except OSError as error:
        raise address_error(
            f"the page cannot be served at {url_host(address)}:{port}", error, "services.web, --host or --port"
        ) from None
    return listening


def _place(address: str, port: int) -> tuple[Any, ...]:
    try:
        return socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except UnicodeError:  # two dots in a row, or a part of more than 63 letters
        raise socket.gaierror(socket.EAI_NONAME, "no host name") from None
