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

SMALL_ANSWER_BYTES = 1 << 20
"""Longer answers and messages, such as images, share a room until their client has taken them."""
ANSWER_ROOM = 1 << 30
ANSWER_ROOM_OF_CLIENT = 256 << 20
NO_ROOM_FOR_ANSWER = "No room for the answer"
_PIECE_BYTES = 256 << 10
_LOOK_S = 0.05


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

    def fitting(self, n: int) -> int:
        """Return a number as it is to be counted: a client may have one that is larger than its bound."""
        return min(n, self._bounds.of_client, self._bounds.of_all)

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


class SentAnswer:
    """The answer to one request: if it is long it needs room until its client has taken it.

    It is handed over piece by piece, so that no more than a piece of it is copied for a client that does not read.

    Parameters
    ----------
    room
        Counts the bytes of long answers, of all and of each client.
    client
        Address of the client.
    send
        Sends the answer.
    """

    def __init__(self, room: ClientCount, client: str, send: Send) -> None:
        self._room = room
        self._client = client
        self._send = send
        self._start: Message | None = None
        self._has_room = True

    async def run(self, app: ASGIApp, scope: Scope, receive: Receive) -> bool:
        """Let an application answer; returns False if there is no room, and nothing was sent."""
        await app(scope, receive, self._take)
        return self._has_room

    async def _take(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            if not _is_long(message):
                await self._begin()
            return
        body = message.get("body", b"")
        if not self._has_room:
            return
        if message["type"] != "http.response.body" or len(body) <= SMALL_ANSWER_BYTES:
            await self._begin()
            await self._send(message)
            return
        n_bytes = self._room.fitting(len(body))
        if not self._room.take(self._client, n_bytes):
            self._has_room = self._start is None  # what has begun goes on
            if not self._has_room:
                return
            n_bytes = 0
        try:
            await self._begin()
            view = memoryview(body)
            for begin in range(0, len(view), _PIECE_BYTES):
                piece = bytes(view[begin : begin + _PIECE_BYTES])
                has_more = begin + _PIECE_BYTES < len(view) or message.get("more_body", False)
                await self._send({"type": "http.response.body", "body": piece, "more_body": has_more})
        finally:
            self._room.give_back(self._client, n_bytes)

    async def _begin(self) -> None:
        if self._start is not None:
            start, self._start = self._start, None
            await self._send(start)


class RequestLimits:
    """ASGI middleware that bounds bodies, the time that a body takes, answers, and the WebSockets of each client.

    Bodies are bounded each, altogether, and of each client. Small ones need no room, so that requests of the page are
    answered whatever others send. The same holds for answers that their clients have not read yet.

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
        self._answers = ClientCount(Bounds(ANSWER_ROOM, ANSWER_ROOM_OF_CLIENT))
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
                await self._app(scope, receive, self._in_room(_client(scope), send))
            else:
                self._metrics.refused.labels("Too many WebSockets").inc()
                await refuse(HttpProblem(HTTPStatus.SERVICE_UNAVAILABLE, "Too many WebSockets"), scope, receive, send)
        self._metrics.websockets.set(self._websockets.n)

    def _in_room(self, client: str, send: Send) -> Send:
        """Return what sends the messages of a WebSocket; a long one waits until there is room for it."""

        async def send_in_room(message: Message) -> None:
            n_bytes = len(message.get("bytes") or b"")
            if n_bytes <= SMALL_ANSWER_BYTES:
                await send(message)
                return
            n_bytes = self._answers.fitting(n_bytes)
            while not self._answers.take(client, n_bytes):
                await asyncio.sleep(_LOOK_S)
            try:
                await send(message)  # returns when the client has taken it
            finally:
                self._answers.give_back(client, n_bytes)

        return send_in_room

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
                bounded = SentAnswer(self._answers, _client(scope), send_counted)
                if not await bounded.run(self._app, scope, _replayed(body, receive)):
                    self._metrics.refused.labels(NO_ROOM_FOR_ANSWER).inc()
                    await refuse(_no_room_for_answer(), scope, receive, send_counted)
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


def _is_long(start: Message) -> bool:
    """Return whether the header of an answer announces a body that needs room; a stream announces none."""
    lengths = [int(value) for name, value in start.get("headers", ()) if name.lower() == b"content-length"]
    return max(lengths, default=0) > SMALL_ANSWER_BYTES


def _no_room_for_answer() -> HttpProblem:
    return HttpProblem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        NO_ROOM_FOR_ANSWER,
        f"answers that were not read yet have {ANSWER_ROOM >> 20} MiB altogether, and "
        f"{ANSWER_ROOM_OF_CLIENT >> 20} MiB of one address; ask again",
        headers={"Retry-After": "1"},
    )


def _client(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""
