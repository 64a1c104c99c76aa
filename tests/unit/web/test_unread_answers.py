"""Answers and images that clients do not read: they take a bounded memory, and others are served."""

import base64
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from std_daq.config.system import load_any_config
from std_daq.imaging.config.model import DetectorConfig
from std_test_kit.live_images import LiveRing
from std_test_kit.wait import wait_until
from std_test_kit.web_console import RunningConsole, running_console
from std_web.limits import NO_ROOM_FOR_ANSWER

MASK = "/api/v1/detectors/small/mask"
MASK_BYTES = 4 * 2016 * 2016
LIVE = "/api/v1/detectors/small/live"
OTHER_ADDRESS = "127.0.0.2"


@pytest.fixture
def narrow(detector_file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningConsole]:
    """A console with room for two of the answers for each address."""
    monkeypatch.setattr("std_web.limits.ANSWER_ROOM_OF_CLIENT", 5 * MASK_BYTES // 2)
    with running_console(detector_file) as running:
        yield running


@pytest.fixture
def ring(detector_file: Path) -> Iterator[LiveRing]:
    config = load_any_config(detector_file)
    assert isinstance(config, DetectorConfig)
    made = LiveRing(config, n_slots=4)
    made.publish(np.random.default_rng(0).integers(0, 200, (2016, 2016)).astype(np.uint16))
    yield made
    made.close()


def connected(console: RunningConsole, stack: ExitStack, address: str = "127.0.0.1") -> socket.socket:
    client = stack.enter_context(socket.socket())
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(20)
    client.bind((address, 0))
    client.connect(("127.0.0.1", console.port))
    return client


def ask(client: socket.socket, path: str) -> None:
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())


def status_of(client: socket.socket) -> int:
    return int(client.recv(100).split(b" ")[1])


def test_answers_that_are_not_read_are_bounded_for_each_address(narrow: RunningConsole) -> None:
    with ExitStack() as stack:
        for _ in range(2):
            client = connected(narrow, stack)
            ask(client, MASK)
            assert status_of(client) == 200  # it has begun, and is not read on
        third = connected(narrow, stack)
        ask(third, MASK)
        assert status_of(third) == 503
        assert narrow.count("daq_web_refused_total", reason=NO_ROOM_FOR_ANSWER) == 1
        other = connected(narrow, stack, OTHER_ADDRESS)
        ask(other, MASK)
        assert status_of(other) == 200
        assert narrow.get("/api/v1/detectors").status == 200  # a small answer needs no room
    wait_until(lambda: narrow.get(MASK).status == 200, 20.0)


def test_answer_that_is_read_is_whole(narrow: RunningConsole) -> None:
    answer = narrow.get(MASK)
    assert len(answer.body) == int(answer.headers["content-length"]) > MASK_BYTES
    assert answer.body.startswith(b"\x93NUMPY")


def test_answer_that_is_larger_than_the_room_is_sent_to_one_at_a_time(
    detector_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("std_web.limits.ANSWER_ROOM_OF_CLIENT", MASK_BYTES // 2)
    with running_console(detector_file) as console:
        assert len(console.get(MASK).body) > MASK_BYTES


def test_live_image_that_is_not_read_keeps_the_next_one_of_its_address_waiting_and_no_other(
    detector_file: Path, ring: LiveRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("std_web.limits.ANSWER_ROOM_OF_CLIENT", 1 << 21)  # less than an image: one at a time
    with running_console(detector_file) as console, ExitStack() as stack:
        first = wanting_an_image(console, stack)
        assert image_begins(first)
        second = wanting_an_image(console, stack)
        other = wanting_an_image(console, stack, OTHER_ADDRESS)
        assert image_begins(other)
        second.settimeout(0.3)
        with pytest.raises(TimeoutError):
            image_begins(second)
        first.close()
        second.settimeout(20)
        assert image_begins(second)


def wanting_an_image(console: RunningConsole, stack: ExitStack, address: str = "127.0.0.1") -> socket.socket:
    """Open a WebSocket that asks for an image of more than a MiB."""
    client = connected(console, stack, address)
    key = base64.b64encode(bytes(16)).decode()
    client.sendall(
        f"GET {LIVE} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
    )
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += client.recv(1)
    for message in ({"type": "view", "size": [2016, 2016]}, {"type": "next"}):
        text = json.dumps(message).encode()
        client.sendall(bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text)
    return client


def image_begins(client: socket.socket) -> bool:
    """Read messages until one in bytes has begun; its rest is not read."""
    while (head := client.recv(1))[0] & 15 != 2:
        length = client.recv(1)[0]
        assert length < 127
        n_bytes = length if length < 126 else int.from_bytes(client.recv(2, socket.MSG_WAITALL), "big")
        client.recv(n_bytes, socket.MSG_WAITALL)
        assert head
    return True
