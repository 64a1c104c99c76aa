"""Every answer of the console has the security headers, and every error is a problem document."""

import json
import socket
from collections.abc import Callable, Iterator
from http.client import HTTPResponse
from pathlib import Path

import pytest
from fastapi import WebSocket
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect

from std_test_kit.web_console import RunningConsole, running_console
from std_web import detector_routes
from std_web.guard import SECURITY_HEADERS
from std_web.limits import MAX_BODY_BYTES
from std_web.options import WebOptions

GET = "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{more}\r\n"
UPGRADE = (
    "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: {version}\r\nSec-WebSocket-Key: {key}\r\n{more}\r\n"
)
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
RUNS = "/api/v1/detectors/small/runs"


@pytest.fixture
def failing(detector_file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningConsole]:
    """A console of one WebSocket at a time, in which three routes fail as nobody foresaw."""
    made = detector_routes.router

    def router(console: object) -> object:
        routes = made(console)  # type: ignore[arg-type]

        @routes.get("/fails")
        def fail() -> None:
            raise RuntimeError("a secret of the inside")

        @routes.websocket("/fails-before")
        async def fail_before(socket: WebSocket) -> None:
            raise RuntimeError("a secret of the inside")

        @routes.websocket("/fails-after")
        async def fail_after(socket: WebSocket) -> None:
            await socket.accept()
            raise RuntimeError("a secret of the inside")

        return routes

    monkeypatch.setattr(detector_routes, "router", router)
    options = WebOptions(max_websockets=1, max_websockets_of_client=1)
    with running_console(detector_file, options=options) as console:
        yield console


def ask(console: RunningConsole, request: str) -> tuple[HTTPResponse, bytes]:
    with socket.create_connection(("127.0.0.1", console.port), timeout=20) as client:
        client.sendall(request.encode("latin-1"))
        response = HTTPResponse(client)
        response.begin()
        return response, response.read()


def upgrade(path: str, *, host: str = "localhost", version: str = "13", key: str = KEY, more: str = "") -> str:
    return UPGRADE.format(path=path, host=host, version=version, key=key, more=more)


@pytest.mark.parametrize(
    ("status", "request_"),
    [
        (200, GET.format(path="/", more="")),
        (200, GET.format(path="/api/v1/detectors", more="")),
        (200, GET.format(path="/daq/logs/0", more="")),
        (304, None),
        (400, "NONSENSE\r\n\r\n"),
        (400, "GET /" + "a" * 70_000),
        (400, upgrade("/api/v1/x", key="short")),
        (401, f"POST {RUNS} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{{}}"),
        (403, "POST /writer/stop HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n\r\n"),
        (403, upgrade("/api/v1/x", more="Origin: http://evil.example\r\n")),
        (404, GET.format(path="/api/v1/nothing", more="")),
        (404, GET.format(path="/nothing", more="")),
        (404, GET.format(path="/%00", more="")),
        (404, upgrade("/api/v1/nothing")),
        (405, "PATCH /api/v1/detectors HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        (405, "DELETE / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        (413, f"POST {RUNS} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {MAX_BODY_BYTES + 1}\r\n\r\n"),
        (421, "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n"),
        (421, upgrade("/api/v1/x", host="evil.example")),
        (422, GET.format(path="/api/v1/detectors/small/history?seconds=x", more="")),
        (400, upgrade("/api/v1/x", version="7")),
        (500, GET.format(path="/api/v1/fails", more="")),
        (500, upgrade("/api/v1/fails-before")),
        (503, GET.format(path=f"{RUNS}/a", more="")),
    ],
)
def test_every_answer_has_the_security_headers_and_tells_an_error_as_a_problem(
    status: int, request_: str | None, failing: RunningConsole
) -> None:
    if request_ is None:
        tag = ask(failing, GET.format(path="/", more=""))[0].headers["etag"]
        request_ = GET.format(path="/", more=f"If-None-Match: {tag}\r\n")
    response, body = ask(failing, request_)
    assert response.status == status
    for name, value in SECURITY_HEADERS.items():
        assert response.headers[name] == value
    assert response.headers["cache-control"]
    assert "server" not in response.headers
    assert b"secret of the inside" not in body
    if status >= 400:
        assert response.headers["content-type"] == "application/problem+json"
        problem = json.loads(body)
        assert problem["status"] == status
        assert problem["title"]
    assert failing.get("/api/v1/detectors").status == 200


def test_websocket_too_many_is_told_why(failing: RunningConsole) -> None:
    with connect(f"ws://127.0.0.1:{failing.port}{RUNS}/live"):
        response, body = ask(failing, upgrade(f"{RUNS}/live"))
    assert (response.status, json.loads(body)["title"]) == (503, "Too many WebSockets")
    assert response.headers["x-frame-options"] == "DENY"


def test_websocket_that_fails_while_it_is_open_is_closed_as_such(failing: RunningConsole) -> None:
    with connect(f"ws://127.0.0.1:{failing.port}/api/v1/fails-after") as client, pytest.raises(ConnectionClosedError):
        client.recv(10.0)
    assert client.close_code == 1011


@pytest.mark.parametrize("fails", ["/api/v1/fails", "/api/v1/detectors/small"])
def test_failure_is_counted(fails: str, failing: RunningConsole) -> None:
    status = failing.get(fails).status
    assert failing.count("daq_web_requests_total", status=f"{status // 100}xx") == 1


def test_failure_in_the_midst_of_an_answer_ends_the_connection(
    failing: RunningConsole, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def break_off(*_: object) -> None:
        raise RuntimeError("a secret of the inside")

    send: Callable[..., object] = break_off
    monkeypatch.setattr("starlette.responses.StreamingResponse.listen_for_disconnect", send)
    with socket.create_connection(("127.0.0.1", failing.port), timeout=20) as client:
        client.sendall(b"GET /daq/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200"), "the answer had not begun"
    assert b"secret of the inside" not in answer
    assert failing.get("/api/v1/detectors").status == 200
