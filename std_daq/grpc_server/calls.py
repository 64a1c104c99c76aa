"""What a call is answered through, and how a refused one is answered."""

from collections.abc import Awaitable, Callable
from typing import Any, Never, Protocol

import grpc

from std_daq.grpc_server.refused_call import RefusedCallError


class Context(Protocol):
    """What a call is answered through."""

    def peer(self) -> str:
        """Return where the client is."""

    async def write(self, message: bytes) -> None:
        """Send a message; waits as long as the client takes none."""

    async def abort(self, code: grpc.StatusCode, details: str) -> Never:
        """End the call with a status."""


def answering(call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Return a call that answers a RefusedCallError with its status."""

    async def answer(request: Any, context: Context) -> Any:
        try:
            return await call(request, context)
        except RefusedCallError as refusal:
            await context.abort(refusal.code, refusal.text)

    return answer
