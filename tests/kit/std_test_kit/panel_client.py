"""PanelClient: looks at a panel over its WebSocket as the page does."""

import json
import time
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from std_test_kit.web_console import RunningConsole
from std_web.panels.arrays_message import decode_arrays

_WITHIN_S = 20.0


class PanelClient:
    """A context manager: one WebSocket below a detector.

    Parameters
    ----------
    console
        The console.
    path
        Path below ``/api/v1/detectors/``.

    Attributes
    ----------
    socket
        The connection.
    states
        The states that were told, the oldest first.
    """

    def __init__(self, console: RunningConsole, path: str) -> None:
        url = f"ws://127.0.0.1:{console.port}/api/v1/detectors/{path}"
        self._connecting = connect(url, max_size=None, subprotocols=[Subprotocol("std-daq")])
        self.socket: ClientConnection
        self.states: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        self.socket = self._connecting.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._connecting.__exit__(None, None, None)

    def send(self, **message: Any) -> None:
        """Send a message."""
        self.socket.send(json.dumps(message))

    def next(self, within_s: float = _WITHIN_S) -> tuple[dict[str, Any], dict[str, NDArray[np.generic]]]:
        """Ask for a message, and return its header and arrays."""
        self.send(type="next")
        deadline_s = time.monotonic() + within_s
        while True:
            message = self.socket.recv(max(0.0, deadline_s - time.monotonic()))
            if isinstance(message, bytes):
                return decode_arrays(message)
            self.states.append(json.loads(message))
