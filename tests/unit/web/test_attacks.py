"""What strangers and broken clients do to the console, and that the others do not notice."""

import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from http.client import HTTPConnection
from pathlib import Path

import psutil
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from std_test_kit.wait import wait_until
from std_test_kit.web_console import TOKEN, RunningConsole, running_console
from std_web.options import WebOptions

DETECTORS = "/api/v1/detectors"
LARGE = "/api/v1/openapi.json"


@pytest.mark.timeout(600)
@pytest.mark.parametrize("n_requests", [2_000, pytest.param(20_000, marks=pytest.mark.long)])
def test_flood_of_requests_leaves_the_service_as_it_was(n_requests: int, console: RunningConsole) -> None:
    process = psutil.Process()

    def flood(n: int) -> int:
        connection = HTTPConnection("127.0.0.1", console.port, timeout=60)
        statuses = 0
        for number in range(n):
            connection.request("GET", DETECTORS if number % 2 else f"/api/v1/detectors/x{number}")
            response = connection.getresponse()
            response.read()
            statuses += response.status in {200, 404}
        connection.close()
        return statuses

    flood(200)
    before = process.memory_info().rss, process.num_fds(), threading.active_count()
    with ThreadPoolExecutor(4) as clients:
        answered = sum(clients.map(flood, [n_requests // 4] * 4))
    assert answered == n_requests
    wait_until(lambda: console.count("daq_web_connections") == 0, 20.0)
    assert process.num_fds() <= before[1] + 5
    assert process.memory_info().rss < before[0] + 20e6
    assert console.get(DETECTORS).status == 200


def test_clients_that_never_read_hold_up_nobody_and_are_ended(
    console: RunningConsole, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("std_web.connections._UNREAD_TIMEOUT_MS", 1000)
    request = f"GET {LARGE} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() * 200
    with ExitStack() as stack:
        for _ in range(20):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", console.port))
            client.settimeout(0.2)
            with suppress(TimeoutError):
                client.sendall(request)
        begun = time.monotonic()
        assert console.get(DETECTORS).status == 200
        assert time.monotonic() - begun < 10.0
        wait_until(lambda: console.count("daq_web_connections") == 0, 60.0)


def test_client_that_is_slow_to_ask_is_ended(console: RunningConsole, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("std_web.connections._HEAD_TIMEOUT_S", 0.5)
    monkeypatch.setattr("std_web.limits._BODY_TIMEOUT_S", 0.5)
    with socket.create_connection(("127.0.0.1", console.port), timeout=20) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: local")
        assert _is_ended(client)
    with socket.create_connection(("127.0.0.1", console.port), timeout=20) as client:
        client.sendall(b"GET /api/v1/detectors HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = b""
        while not answer.endswith(b"]"):
            answer += client.recv(65536)
        assert answer.startswith(b"HTTP/1.1 200 ")
        client.sendall(b"GET / HT")  # the half of another request, after a whole one
        assert _is_ended(client)
    with socket.create_connection(("127.0.0.1", console.port), timeout=20) as client:
        client.sendall(b"POST /writer/stop HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
        assert client.recv(100).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize(
    "path",
    [
        "/../../detector.json",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/..%2f..%2fetc%2fpasswd",
        "//etc/passwd",
        "/file/..%2f..%2fetc%2fpasswd/0",
        "/file/%2fetc%2fpasswd",
        "/api/v1/detectors/..%2f..%2fetc/status",
        "/%00",
        "/page/%c0%ae%c0%ae/",
        "/" + "a/" * 5000,
    ],
)
def test_no_path_leads_out_of_the_page(path: str, console: RunningConsole) -> None:
    with socket.create_connection(("127.0.0.1", console.port), timeout=20) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert b"root:" not in answer
    assert b"detector_name" not in answer
    status, body = int(answer.split(b" ", 2)[1]), answer.partition(b"\r\n\r\n")[2]
    assert status in {400, 404} or json.loads(body)["status"] == "error"
    assert console.get(DETECTORS).status == 200


def test_page_of_another_site_cannot_start_a_run_even_where_nobody_needs_a_token(detector_file: Path) -> None:
    from std_web.guard import WebAccess

    run = {"n_images": 1, "output_file": "/tmp/x.h5"}
    with running_console(detector_file, access=WebAccess(None)) as console:
        for path in ("/writer/write_async", "/writer/stop", "/daq/config", "/simulation/start"):
            # What a form of another page can send: no JSON as type, and no header of its own but these.
            foreign = {"Origin": "http://evil.example", "Content-Type": "text/plain", "Sec-Fetch-Site": "cross-site"}
            answer = console.ask("POST", path, json.dumps(run).encode(), headers=foreign)
            assert (answer.status, answer.json()["title"]) == (403, "Foreign origin")
        rebound = console.ask("POST", "/writer/stop", {}, headers={"Host": "evil.example:5000"})
        assert rebound.status == 421
        assert console.get("/simulation/status").json()["simulator"]["status"] == "READY"


def test_websocket_of_another_site_is_refused_before_it_opens(console: RunningConsole) -> None:
    for origin in ("http://evil.example", "null"):
        with pytest.raises(InvalidStatus), connect(f"ws://127.0.0.1:{console.port}/api/v1/x", origin=origin):  # type: ignore[arg-type]
            pass
    assert console.count("daq_web_refused_total", reason="Foreign origin") == 2
    assert console.count("daq_web_websockets") == 0


def test_secrets_are_in_no_answer(detector_file: Path, tmp_path: Path) -> None:
    document = json.loads(detector_file.read_text())
    url_file = tmp_path / "url"
    url_file.write_text("amqp://user:hush-hush@localhost/")
    url_file.chmod(0o600)
    document["broker"] = {"url_file": str(url_file)}
    detector_file.write_text(json.dumps(document))
    with running_console(detector_file) as console:
        for path in ("configuration", "status", "warnings", "history"):
            body = console.get(f"{DETECTORS}/small/{path}").body
            assert b"hush-hush" not in body
            assert TOKEN.encode() not in body
        assert b"hush-hush" not in console.get("/daq/config").body


def test_connections_are_bounded_altogether(detector_file: Path) -> None:
    options = WebOptions(max_connections=10, max_connections_of_client=8)
    with running_console(detector_file, options=options) as console, ExitStack() as stack:
        for source in ("127.0.0.2", "127.0.0.3"):
            for _ in range(10):
                place = ("127.0.0.1", console.port)
                stack.enter_context(socket.create_connection(place, timeout=10, source_address=(source, 0)))
        wait_until(lambda: console.count("daq_web_refused_total", reason="Too many connections") == 10, 20.0)
        assert console.count("daq_web_connections") == 10


def _is_ended(client: socket.socket) -> bool:
    try:
        return client.recv(100) == b""
    except ConnectionError:
        return True


@pytest.mark.parametrize("path", [DETECTORS, "/shell.js", "/api/v1/detectors/small/image"])
def test_nonsense_in_headers_is_answered_at_once_and_changes_nothing(path: str, console: RunningConsole) -> None:
    for header in (
        'If-None-Match: W/"a",' * 1000,
        "If-None-Match: " + '"' * 30_000,
        "If-Modified-Since: Mon, 01 Jan 99999 00:00:00 GMT",
        "Range: bytes=" + "0-," * 5000 + "0-",
        "Range: bytes=99999999999999999999999-",
        "Range: bytes=a-b",
        "Cookie: " + "a=b;" * 5000,
        "Authorization: Basic " + "A" * 30_000,
        "Accept-Encoding: " + "gzip," * 5000,
        "Forwarded: for=10.0.0.1;host=evil.example;proto=https",
        "\r\n".join(f"X-{number}: 1" for number in range(3000)),
    ):
        status = _status(console, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{header}\r\n\r\n")
        assert status in {200, 206, 304, 400, 404, 416}, header[:50]
    for header in ("X: " + "a" * 2_000_000, "Host: evil.example", "Transfer-Encoding: gzip", "Content-Length: 1, 2"):
        status = _status(console, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{header}\r\n\r\n")
        assert status in {None, 400, 501}, header[:50]
    assert console.get(DETECTORS).status == 200


@pytest.mark.parametrize("path", [f"{DETECTORS}/small/live", f"{DETECTORS}/small/runs/live"])
def test_websocket_of_endless_fragments_or_pings_takes_no_memory_and_nobody_waits(
    path: str, console: RunningConsole
) -> None:
    process = psutil.Process()
    with ExitStack() as stack:
        clients = [stack.enter_context(_websocket(console, path)) for _ in range(4)]
        before = process.memory_info().rss
        for number, endless in enumerate(
            (b"\x01\x81\0\0\0\0{" + b"\0\x80\0\0\0\0" * 20_000, (b"\x89\xfd\0\0\0\0" + b"p" * 125) * 2000)
        ):
            with suppress(OSError):  # some are ended
                clients[number].sendall(endless)
        with suppress(OSError):
            clients[2].sendall(b"\x81\xfe\xff\xff\0\0\0\0" + b"[" * 65_535)
        with suppress(OSError):
            clients[3].sendall(b"\x81\xff" + (2**62).to_bytes(8, "big") + b"\0\0\0\0" + b"x" * 100_000)
        assert console.get(DETECTORS).status == 200
        assert process.memory_info().rss < before + 20e6
    wait_until(lambda: console.count("daq_web_websockets") == 0, 20.0)


def _status(console: RunningConsole, request: str) -> int | None:
    """Send a request, and return the status of the answer; None if the connection is ended without one."""
    with socket.create_connection(("127.0.0.1", console.port), timeout=20) as client:
        try:
            client.sendall(request.encode())
            answer = client.recv(100)
        except ConnectionError:
            return None
    return int(answer.split(b" ")[1]) if answer else None


def _websocket(console: RunningConsole, path: str) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", console.port), timeout=20)
    client.sendall(
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
    )
    assert client.recv(1000).startswith(b"HTTP/1.1 101 ")
    client.settimeout(2)
    return client
