"""Viewer: the dialogue with one browser that shows live images.

The server sends an image only when the browser asks for one, and then the newest. So a slow browser sees fewer images,
and nothing piles up for it. The images are reduced in a thread of the detector, never in the event loop.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from std_daq.errors import StdDaqError
from std_web.live.live_images import LiveState
from std_web.live.protocol import Next, View, encode_image, parse
from std_web.live.renderer import Place, Rendered, Renderer

_LOOK_S = 0.02
_STATE_S = 0.25
_RING_S = 1.0
_ERROR_S = 2.0
_MAX_MISTAKES = 20
_POLICY_VIOLATION = 1008
_UNSUPPORTED = 1003


class Viewer:
    """One browser.

    Parameters
    ----------
    socket
        Its WebSocket, which is accepted.
    renderer
        Makes what it shows.
    executor
        Runs the renderer.
    """

    def __init__(self, socket: WebSocket, renderer: Renderer, executor: ThreadPoolExecutor) -> None:
        self._socket = socket
        self._renderer = renderer
        self._executor = executor
        self._view: View | None = None
        self._is_waiting = False
        self._n_mistakes = 0
        self._changed = asyncio.Event()
        self._shown: tuple[Place, View] | None = None
        self._told: LiveState | None = None
        self._told_ring: dict[str, Any] | None = None

    async def run(self) -> None:
        """Talk with the browser until it leaves."""
        listening = asyncio.create_task(self._listen())
        telling = asyncio.create_task(self._tell())
        try:
            await asyncio.wait({listening, telling}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (listening, telling):
                task.cancel()
            for task in (listening, telling):
                with suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
                    await task

    async def _listen(self) -> None:
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            if text is None:
                await self._socket.close(_UNSUPPORTED, "messages are texts in JSON")
                return
            try:
                self._take(parse(text))
            except ValueError as error:
                self._n_mistakes += 1
                await self._socket.send_json({"type": "error", "detail": str(error)})
                if self._n_mistakes >= _MAX_MISTAKES:
                    await self._socket.close(_POLICY_VIOLATION, "too many messages that are none")
                    return

    def _take(self, message: View | Next) -> None:
        if isinstance(message, View):
            self._view = message
        else:
            self._is_waiting = True
        self._changed.set()

    async def _tell(self) -> None:
        loop = asyncio.get_running_loop()
        next_state = next_ring = 0.0
        while True:
            if loop.time() >= next_ring:
                next_ring = loop.time() + _RING_S
                await self._tell_ring()
            if loop.time() >= next_state:
                next_state = loop.time() + _STATE_S
                await self._tell_state()
            await self._tell_image()
            wait_s = _LOOK_S if self._is_waiting and self._view is not None else _STATE_S
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), wait_s)
            self._changed.clear()

    async def _tell_state(self) -> None:
        state = self._renderer.source.state()
        if state != self._told:
            self._told = state
            await self._socket.send_json(state.document())

    async def _tell_ring(self) -> None:
        """Tell a browser that shows an image of the past what is in the ring: no image tells it."""
        if self._view is None or self._view.position == "newest":
            return
        ring = self._renderer.source.span()
        if ring is not None and ring != self._told_ring:
            self._told_ring = ring
            await self._socket.send_json({"type": "ring", "ring": ring})

    async def _tell_image(self) -> None:
        """Send an image if one is wanted that the browser does not have."""
        view = self._view
        if view is None or not self._is_waiting:
            return
        place = self._renderer.source.place(view.position)
        if place is None or self._shown == (place, view):
            return
        loop = asyncio.get_running_loop()
        try:
            rendered = await loop.run_in_executor(self._executor, self._renderer.render, view)
        except StdDaqError as error:
            await self._socket.send_json({"type": "error", "detail": str(error)})
            await asyncio.sleep(_ERROR_S)
            return
        if rendered is None:
            return
        self._shown = (rendered.place, view)
        self._is_waiting = False
        await self._socket.send_bytes(_encode(rendered))


def _encode(rendered: Rendered) -> bytes:
    return encode_image(rendered.header, rendered.image.values, rendered.image.flags)
