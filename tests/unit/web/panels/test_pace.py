"""Paced views: what a client may send, and whose fault an end of the WebSocket is."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from websockets.exceptions import ConnectionClosed
from websockets.frames import Close
from websockets.sync.client import ClientConnection, connect

from std_test_kit.event_results import chamber_document
from std_test_kit.wait import wait_until
from std_test_kit.web_console import RunningConsole, running_console
from std_web.panels import chamber_views

_UNSUPPORTED = 1003
WITHIN_S = 10.0


@pytest.fixture
def chamber(tmp_path: Path, shm_dir: Path, runtime: Path) -> Iterator[RunningConsole]:
    file = tmp_path / "tpc.json"
    file.write_text(json.dumps(chamber_document(shm_dir)))
    with running_console(file) as console:
        yield console


def histograms_of(console: RunningConsole) -> str:
    (name,) = console.console.detectors
    return f"ws{console.url.removeprefix('http')}/api/v1/detectors/{name}/panel/chamber/histograms"


def _end(socket: ClientConnection) -> Close | None:
    """Return how the console ends the WebSocket; None if it does so without a word."""
    with pytest.raises(ConnectionClosed) as ended:
        _read_on(socket)
    return ended.value.rcvd


def _read_on(socket: ClientConnection) -> None:
    while True:
        socket.recv(10.0)


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ("no JSON", "messages are JSON text"),
        (b"{}", "messages are JSON text"),
        ("[]", "messages are of type 'next' or 'view'"),
        ('{"type": []}', "messages are of type 'next' or 'view'"),
        ('{"type": "view", "scope": []}', "scope is one of run, recent"),
    ],
)
def test_what_is_no_message_closes_the_websocket_with_words(
    chamber: RunningConsole, sent: str | bytes, words: str
) -> None:
    with connect(histograms_of(chamber)) as socket:
        socket.send(sent)
        end = _end(socket)
    assert end == Close(_UNSUPPORTED, words)


def test_fault_of_a_view_is_not_told_to_the_client_as_its_own(
    chamber: RunningConsole, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> bytes:
        raise ValueError("a fault of the console")

    monkeypatch.setattr(chamber_views, "histogram_message", fail)
    with capture_logs() as logs:
        with connect(histograms_of(chamber)) as socket:
            socket.send('{"type": "next"}')
            end = _end(socket)
        wait_until(lambda: [log for log in logs if "a fault of the console" in str(log.get("error"))], WITHIN_S)
    assert end is None or end.code != _UNSUPPORTED
