"""What clients can take of the console."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from starlette.types import Message, Receive, Scope, Send

from std_test_kit.wait import wait_until
from std_test_kit.web_console import RunningConsole, running_console
from std_web.limits import (
    BODY_ROOM,
    BODY_ROOM_OF_CLIENT,
    MAX_BODY_BYTES,
    NO_ROOM,
    SMALL_BODY_BYTES,
    Bounds,
    ClientCount,
    RequestLimits,
)
from std_web.metrics import WebMetrics
from std_web.options import WebOptions


def test_clients_are_counted_each_and_together() -> None:
    count = ClientCount(Bounds(of_all=3, of_client=2))
    assert [count.take("a"), count.take("a"), count.take("a"), count.take("b"), count.take("c")] == [
        True,
        True,
        False,
        True,
        False,
    ]
    count.give_back("a")
    with count.taken("c") as is_taken:
        assert is_taken
        assert count.n == 3
    assert count.n == 2


def test_long_body_is_refused_whatever_it_says_of_its_length(console: RunningConsole) -> None:
    path = "/api/v1/nothing"
    assert console.ask("POST", path, b"x" * MAX_BODY_BYTES).status == 404
    for length in (str(MAX_BODY_BYTES + 1), "-1", "1e3", "9" * 30):
        answer = console.ask("POST", path, headers={"Content-Length": length})
        assert answer.status in {400, 413}, length
    with socket.create_connection(("127.0.0.1", console.port), timeout=10) as client:
        client.sendall(b"POST /api/v1/nothing HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            for _ in range(2 * MAX_BODY_BYTES // 65536):
                client.sendall(b"10000\r\n" + bytes(65536) + b"\r\n")
        except OSError:
            pass  # it closes without reading the rest
        assert client.recv(100).startswith(b"HTTP/1.1 413 ")
    assert console.get("/api/v1/detectors").status == 200


def test_long_bodies_are_bounded_altogether_and_of_each_address_and_small_ones_are_answered_all_the_same(
    console: RunningConsole,
) -> None:
    head = b"POST /api/v1/nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
    fitting = BODY_ROOM_OF_CLIENT // (MAX_BODY_BYTES - SMALL_BODY_BYTES)

    with ExitStack() as stack:

        def send_all_but_the_last_byte(source: str) -> None:
            client = stack.enter_context(_connection(console, source))
            with suppress(OSError):  # the console may have refused it, and closed the connection
                client.sendall(head % MAX_BODY_BYTES + bytes(MAX_BODY_BYTES - 1))

        def refused() -> float:
            return console.count("daq_web_refused_total", reason=NO_ROOM)

        # Whichever of them asks for more when there is no room is refused, and the others have room then.
        n_clients = BODY_ROOM // BODY_ROOM_OF_CLIENT
        for number in range(n_clients):
            for _ in range(fitting + 1):
                send_all_but_the_last_byte(f"127.0.0.{number + 2}")
        wait_until(lambda: refused() == n_clients, 10.0)
        send_all_but_the_last_byte("127.0.0.100")
        wait_until(lambda: refused() == n_clients + 1, 10.0)
        for source in ("127.0.0.2", "127.0.0.100"):
            with _connection(console, source) as client:
                client.sendall(head % SMALL_BODY_BYTES + bytes(SMALL_BODY_BYTES))
                assert client.recv(100).startswith(b"HTTP/1.1 404 ")
    wait_until(lambda: console.ask("POST", "/api/v1/nothing", b"x" * MAX_BODY_BYTES).status == 404, 10.0)


def test_request_that_fails_is_counted() -> None:
    registry = CollectorRegistry()

    async def fail(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("nobody foresaw this")

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        raise AssertionError(message)

    limits = RequestLimits(fail, Bounds(of_all=1, of_client=1), WebMetrics(registry))
    with pytest.raises(RuntimeError, match="nobody"):
        asyncio.run(limits({"type": "http", "headers": []}, receive, send))
    assert registry.get_sample_value("daq_web_requests_total", {"status": "5xx"}) == 1


@pytest.fixture
def narrow(detector_file: Path) -> Iterator[RunningConsole]:
    with running_console(detector_file, options=WebOptions(max_connections=8, max_connections_of_client=4)) as console:
        yield console


def test_client_with_too_many_connections_is_turned_away_and_another_is_not(narrow: RunningConsole) -> None:
    with ExitStack() as stack:
        held = [stack.enter_context(_connection(narrow, "127.0.0.2")) for _ in range(4)]
        wait_until(lambda: narrow.count("daq_web_connections") == 4, 10.0)
        with _connection(narrow, "127.0.0.2") as fifth:
            assert _is_closed(fifth)
        assert narrow.count("daq_web_refused_total", reason="Too many connections") == 1
        assert narrow.get("/api/v1/detectors").status == 200
        assert not any(_has_bytes(one) for one in held)
    wait_until(lambda: narrow.count("daq_web_connections") == 0, 10.0)


def test_garbage_ends_only_its_own_connection(console: RunningConsole) -> None:
    for garbage in (b"\x16\x03\x01\x02\x00\x01", b"\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\0" * 5000, b"A" * 100_000):
        with _connection(console, "127.0.0.1") as client:
            try:
                client.sendall(garbage)
                client.shutdown(socket.SHUT_WR)
                client.recv(10_000)
            except OSError:
                pass
    assert console.get("/api/v1/detectors").status == 200


def _connection(console: RunningConsole, source: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", console.port), timeout=10, source_address=(source, 0))


def _is_closed(client: socket.socket) -> bool:
    try:
        return client.recv(1) == b""
    except ConnectionError:
        return True


def _has_bytes(client: socket.socket) -> bool:
    client.setblocking(False)
    try:
        client.recv(1)
    except BlockingIOError:
        return False
    return True
