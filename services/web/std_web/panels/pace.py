"""Sends what is newest over a WebSocket, at the pace of its client: one message for each ``next``."""

import asyncio
import json
from contextlib import suppress
from typing import Any, Protocol

from fastapi import WebSocket, WebSocketDisconnect

_LOOK_S = 0.025
_SILENT_S = 1.0
_UNSUPPORTED = 1003


class _RefusedMessageError(Exception):
    """What the client has sent is no message, or wishes what cannot be."""


class PacedView(Protocol):
    """What one client looks at."""

    def wish(self, message: dict[str, Any]) -> None:
        """Take what the client wants to see; raises ValueError if it cannot be."""

    def newest(self) -> bytes | None:
        """Return a message with what has come since the last one; None if nothing has. It must not wait."""

    def state(self) -> dict[str, Any]:
        """Return how the source is, in a few words; it is sent whenever it changes."""


async def serve(socket: WebSocket, view: PacedView) -> None:
    """Serve one client until it leaves.

    The client sends ``{"type": "next"}`` when it can take a message, and ``{"type": "view", ...}`` to choose what it
    sees. Between messages it gets ``{"type": "state", ...}`` as text. What it sends besides closes the WebSocket.
    """
    await socket.accept()
    wanted = asyncio.Event()
    sending = asyncio.create_task(_send(socket, view, wanted))
    receiving = asyncio.create_task(_receive(socket, view, wanted))
    try:
        await asyncio.wait({sending, receiving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (sending, receiving):
            task.cancel()
        ends = await asyncio.gather(sending, receiving, return_exceptions=True)
    for end in ends:
        if isinstance(end, _RefusedMessageError):
            with suppress(RuntimeError, WebSocketDisconnect):
                await socket.close(_UNSUPPORTED, str(end)[:100])
        elif isinstance(end, Exception) and not isinstance(end, WebSocketDisconnect | RuntimeError | OSError):
            raise end


async def _receive(socket: WebSocket, view: PacedView, wanted: asyncio.Event) -> None:
    while True:
        try:
            message = json.loads(await socket.receive_text())
        except (KeyError, ValueError, RecursionError):  # bytes in place of text, no JSON, or nested too deeply
            raise _RefusedMessageError("messages are JSON text") from None
        kind = message.get("type") if isinstance(message, dict) else None
        if kind == "view":
            try:
                view.wish(message)
            except ValueError as error:
                raise _RefusedMessageError(str(error)) from None
        elif kind != "next":
            raise _RefusedMessageError("messages are of type 'next' or 'view'")
        else:
            wanted.set()


async def _send(socket: WebSocket, view: PacedView, wanted: asyncio.Event) -> None:
    told: dict[str, Any] | None = None
    while True:
        state = view.state()
        if state != told:
            await socket.send_text(json.dumps({"type": "state", **state}))
            told = state
        message = view.newest() if wanted.is_set() else None
        if message is not None:
            wanted.clear()
            await socket.send_bytes(message)
        elif wanted.is_set():
            await asyncio.sleep(_LOOK_S)
        else:
            with suppress(TimeoutError):
                await asyncio.wait_for(wanted.wait(), _SILENT_S)
