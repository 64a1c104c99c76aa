"""BoundedConnection: one HTTP connection, bounded in time and number."""

import asyncio
import socket
from http import HTTPStatus
from typing import Any, ClassVar

import h11
from fastapi import Response as HttpResponse
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.datastructures import Headers as HandshakeHeaders
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

from std_web.guard import SECURITY_HEADERS
from std_web.limits import ClientCount
from std_web.metrics import WebMetrics
from std_web.problems import HttpProblem

_HEAD_TIMEOUT_S = 10.0
_UNREAD_TIMEOUT_MS = 20_000


class BoundedConnection(H11Protocol):
    """HTTP connection that ends if the client is slow to ask or does not read, or if there are too many.

    The kernel ends a connection whose client has not taken what was sent to it for 20 s, also that of a WebSocket.
    """

    count: ClassVar[ClientCount]
    metrics: ClassVar[WebMetrics]

    _is_counted = False
    _address = ""
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, or end at once if there are too many connections."""
        super().connection_made(transport)
        self._address = self.client[0] if self.client else ""
        self._is_counted = self.count.take(self._address)
        if not self._is_counted:
            self.metrics.refused.labels("Too many connections").inc()
            transport.abort()
            return
        self.metrics.connections.set(self.count.n)
        connected = transport.get_extra_info("socket")
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREAD_TIMEOUT_MS)
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        """Take bytes of the client; a request has to be whole in time, also one that follows another."""
        super().data_received(data)
        is_between_requests = self.conn.their_state is h11.IDLE
        if self._deadline is not None and not is_between_requests:
            self._deadline.cancel()
            self._deadline = None
        elif self._deadline is None and is_between_requests and self._is_counted:
            self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._release()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, event: Any) -> None:
        """Hand the connection over to a WebSocket, which is counted as such."""
        self._release()
        super().handle_websocket_upgrade(event)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP as every other mistake."""
        response = malformed(msg)
        answer = h11.Response(status_code=response.status_code, headers=response.raw_headers, reason=b"Bad Request")
        for event in (answer, h11.Data(data=bytes(response.body)), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _expect_head(self) -> None:
        self._deadline = self.loop.call_later(_HEAD_TIMEOUT_S, self.transport.abort)

    def _release(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if self._is_counted:
            self._is_counted = False
            self.count.give_back(self._address)
            self.metrics.connections.set(self.count.n)


class WebSocketConnection(WebSocketsSansIOProtocol):
    """WebSocket connection that refuses a wrong handshake as every other mistake."""

    async def send(self, message: Any) -> None:
        """Send a message; returns when the client has taken it but for what the kernel and a small buffer hold."""
        await super().send(message)
        await self.writable.wait()

    def handle_connect(self, event: Request) -> None:
        """Begin, or refuse the handshake."""
        said = ServerProtocol().accept(event)
        if said.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
            super().handle_connect(event)
            return
        response = malformed(bytes(said.body or b"").decode(errors="replace").strip(), said.status_code)
        headers = HandshakeHeaders(response.headers.items())
        if "Sec-WebSocket-Version" in said.headers:
            headers["Sec-WebSocket-Version"] = said.headers["Sec-WebSocket-Version"]
        self.handshake_complete = self.close_sent = True
        self.conn.send_response(Response(said.status_code, said.reason_phrase, headers, bytes(response.body)))
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.transport.close()


def malformed(what: str, status: int = HTTPStatus.BAD_REQUEST) -> HttpResponse:
    """Return the answer to what never reaches the application."""
    headers = {**SECURITY_HEADERS, "Connection": "close"}
    return HttpProblem(status, detail=what, headers=headers).response("")


def bounded(count: ClientCount, metrics: WebMetrics) -> type[BoundedConnection]:
    """Return the class of the connections of one server."""
    return type("ServerConnection", (BoundedConnection,), {"count": count, "metrics": metrics})
