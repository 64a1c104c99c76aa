"""Limits: bounds for what clients take of the process, so that no client takes it from the others."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Self

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from std_web.metrics import WebMetrics
from std_web.problems import HttpProblem
from std_web.refusals import refuse

MAX_BODY_BYTES = 1 << 20
SMALL_BODY_BYTES = 16 << 10
"""What each connection may send beside all others; longer bodies share a room."""

BODY_ROOM = 32 << 20
BODY_ROOM_OF_CLIENT = 8 << 20
_BODY_TIMEOUT_S = 10.0
NO_ROOM = "No room for the body"


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many of something there may be at once, altogether and of one client."""

    of_all: int
    of_client: int


class ClientCount:
    """Counts what clients hold at present, by the address of the client.

    Parameters
    ----------
    bounds
        How many there may be.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._held: Counter[str] = Counter()
        self.n = 0

    def take(self, client: str, n: int = 1) -> bool:
        """Count some more of a client, unless a bound would be passed; returns whether they are counted."""
        if self.n + n > self._bounds.of_all or self._held[client] + n > self._bounds.of_client:
            return False
        self.n += n
        self._held[client] += n
        return True

    def give_back(self, client: str, n: int = 1) -> None:
        """Count some less of a client."""
        self.n -= n
        self._held[client] -= n
        if not self._held[client]:
            del self._held[client]

    @contextmanager
    def taken(self, client: str) -> Iterator[bool]:
        """Count one more of a client for the time of the context; yields whether it is counted."""
        is_taken = self.take(client)
        try:
            yield is_taken
        finally:
            if is_taken:
                self.give_back(client)


class BodyTooLongError(Exception):
    """A body is longer than any request needs."""


class NoRoomError(Exception):
    """The bodies of other requests fill the room for them."""


class HeldBody:
    """The body of one request; a context manager that gives its room back at the end.

    Parameters
    ----------
    room
        Counts the bytes of long bodies, of all and of each client.
    client
        Address of the client.
    """

    def __init__(self, room: ClientCount, client: str) -> None:
        self._room = room
        self._client = client
        self._n_taken = 0
        self._body = bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._let_go()

    async def read(self, receive: Receive) -> bytes | None:
        """Return the body; None if the client has left.

        Raises
        ------
        BodyTooLongError
            It is longer than MAX_BODY_BYTES.
        NoRoomError
            There is no room for it beside the bodies of others.
        """
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            self._add(message.get("body", b""))
            if not message.get("more_body", False):
                body = bytes(self._body)
                self._body.clear()
                return body

    def _add(self, part: bytes) -> None:
        if len(self._body) + len(part) > MAX_BODY_BYTES:
            self._let_go()
            raise BodyTooLongError
        self._body += part
        n_more = len(self._body) - SMALL_BODY_BYTES - self._n_taken
        if n_more > 0:
            if not self._room.take(self._client, n_more):
                self._let_go()  # at once: others have room while this one is refused
                raise NoRoomError
            self._n_taken += n_more

    def _let_go(self) -> None:
        self._body.clear()
        if self._n_taken:
            self._room.give_back(self._client, self._n_taken)
            self._n_taken = 0


class RequestLimits:
    """ASGI middleware that bounds bodies, the time that a body takes, and the WebSockets of each client.

    Bodies are bounded each, altogether, and of each client. Small ones need no room, so that requests of the page are
    answered whatever others send.

    Parameters
    ----------
    app
        Answers the requests.
    websockets
        Bounds of the WebSockets.
    metrics
        Metrics of the service.
    """

    def __init__(self, app: ASGIApp, websockets: Bounds, metrics: WebMetrics) -> None:
        self._app = app
        self._websockets = ClientCount(websockets)
        self._bodies = ClientCount(Bounds(BODY_ROOM, BODY_ROOM_OF_CLIENT))
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or one WebSocket."""
        if scope["type"] == "websocket":
            await self._open(scope, receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _open(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._websockets.taken(_client(scope)) as is_taken:
            self._metrics.websockets.set(self._websockets.n)
            if is_taken:
                await self._app(scope, receive, send)
            else:
                self._metrics.refused.labels("Too many WebSockets").inc()
                await refuse(HttpProblem(HTTPStatus.SERVICE_UNAVAILABLE, "Too many WebSockets"), scope, receive, send)
        self._metrics.websockets.set(self._websockets.n)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_answered = False

        async def send_counted(message: Message) -> None:
            nonlocal is_answered
            if message["type"] == "http.response.start":
                is_answered = True
                self._metrics.requests.labels(f"{message['status'] // 100}xx").inc()
            await send(message)

        length = Headers(scope=scope).get("content-length", "0")
        if not length.isascii() or not length.isdigit() or int(length) > MAX_BODY_BYTES:
            await refuse(_too_long(), scope, receive, send_counted)
            return
        with HeldBody(self._bodies, _client(scope)) as held:
            try:
                body = await asyncio.wait_for(held.read(receive), _BODY_TIMEOUT_S)
            except TimeoutError:
                problem = HttpProblem(HTTPStatus.REQUEST_TIMEOUT, detail="the body of the request has not come in time")
                await refuse(problem, scope, receive, send_counted)
                return
            except BodyTooLongError:
                await refuse(_too_long(), scope, receive, send_counted)
                return
            except NoRoomError:
                self._metrics.refused.labels(NO_ROOM).inc()
                await refuse(_no_room(), scope, receive, send_counted)
                return
            if body is None:
                return
            try:
                await self._app(scope, _replayed(body, receive), send_counted)
            except Exception:
                if not is_answered:  # the outermost middleware, which is not seen here, answers it
                    self._metrics.requests.labels("5xx").inc()
                raise


def _replayed(body: bytes, receive: Receive) -> Receive:
    is_given = False

    async def receive_again() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again


def _too_long() -> HttpProblem:
    return HttpProblem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "Body too long",
        f"the body of a request has {MAX_BODY_BYTES} bytes at most",
        headers={"Connection": "close"},
    )


def _no_room() -> HttpProblem:
    return HttpProblem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        NO_ROOM,
        f"bodies above {SMALL_BODY_BYTES >> 10} KiB have {BODY_ROOM >> 20} MiB altogether, and "
        f"{BODY_ROOM_OF_CLIENT >> 20} MiB of one address; ask again",
        headers={"Connection": "close", "Retry-After": "1"},
    )


def _client(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""
