"""The WebSocket that tells what happens to runs."""

import asyncio
from contextlib import suppress

from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from std_web.runs.desk import RunDesk, RunSubscription
from std_web.runs.desks import PREFIX, TAGS, RunDesks
from std_web.runs.run_book import summary_of
from std_web.runs.run_view import DeskState, RunDetails

_POLICY_VIOLATION = 1008


def router(desks: RunDesks) -> APIRouter:
    """Return the route."""
    routes = APIRouter(prefix=PREFIX, tags=TAGS)

    @routes.websocket("/live")
    async def follow_runs(socket: WebSocket, detector: str) -> None:
        """Send what happens to runs: `{"type": "run", "run": ...}` and `{"type": "desk", ...}`."""
        desk = desks.get(detector)
        await socket.accept()
        if desk is None:
            await socket.close(code=_POLICY_VIOLATION, reason="there is no such detector, or it records no runs")
            return
        await _follow(socket, desk)

    return routes


async def _follow(socket: WebSocket, desk: RunDesk) -> None:
    """Send changes until the client leaves; what it sends is not read but for its end."""
    async with desk.following() as subscription:
        tasks = (
            asyncio.create_task(_wait_for_end(socket)),
            asyncio.create_task(_send_changes(socket, desk, subscription)),
        )
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            for task in tasks:
                with suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
                    await task


async def _wait_for_end(socket: WebSocket) -> None:
    with suppress(WebSocketDisconnect, KeyError):  # KeyError: bytes, which no client has a reason to send
        while True:
            await socket.receive_text()


async def _send_changes(socket: WebSocket, desk: RunDesk, subscription: RunSubscription) -> None:
    changes: list[RunDetails | DeskState] = [desk.state, *desk.unfinished()]
    while True:
        for change in changes:
            if isinstance(change, DeskState):
                await socket.send_json(change.model_dump(mode="json"))
            else:
                await socket.send_json({"type": "run", "run": summary_of(change).model_dump(mode="json")})
        changes = await subscription.take()
