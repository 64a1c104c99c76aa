"""EventLoopService: a service whose parts live in one event loop, from its start until it ends."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable

from std_daq.grpc_server.refused_call import RefusedCallError
from std_daq.telemetry.logs import ConditionLog

GRACE_S = 1.0
"""How long calls that are still answered have at the end."""
_STEP_S = 0.1
_RETRY_START_S = 2.0


class EventLoopService(ABC):
    """A service whose parts live in one event loop, which each `step` runs for a moment.

    A subclass opens its parts in `_open` and closes them in `_close`, and calls `_begin` at the end of its constructor.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._starting: asyncio.Task[None] | None = None
        self._is_built = False
        self._conditions = ConditionLog(period_s=60.0)

    def step(self) -> None:
        """Serve for 0.1 s."""
        self._loop.run_until_complete(asyncio.sleep(_STEP_S))
        self._after_step()

    def close(self) -> None:
        """End all streams with CANCELLED, and close all parts."""
        self._loop.run_until_complete(self._end())
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    @abstractmethod
    async def _open(self) -> None:
        """Build the parts, call `_note_built`, and open them."""

    @abstractmethod
    async def _close(self) -> None:
        """Close the parts."""

    @abstractmethod
    def _after_step(self) -> None:
        """Do what is done after each step, outside the event loop."""

    def _begin(self) -> None:
        """Open the parts; if that fails, close those that are open."""
        try:
            self._loop.run_until_complete(self._open())
        except BaseException:
            self.close()
            raise

    def _note_built(self) -> None:
        """Note that there is something to close."""
        self._is_built = True

    def _start_later(self, attempt: Callable[[], Awaitable[str]]) -> None:
        """Do what the section ``start`` asks for, again and again until it works.

        Parameters
        ----------
        attempt
            Returns what is wrong; an empty text once it has worked, or a client has done it. It may raise
            RefusedCallError.
        """
        self._starting = self._loop.create_task(self._start(attempt))

    async def _start(self, attempt: Callable[[], Awaitable[str]]) -> None:
        while problem := await _problem_of(attempt):
            self._conditions.warning("start_failed", problem=problem, again_in_s=_RETRY_START_S)
            await asyncio.sleep(_RETRY_START_S)

    async def _end(self) -> None:
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.gather(self._starting, return_exceptions=True)
        if self._is_built:
            await self._close()


async def _problem_of(attempt: Callable[[], Awaitable[str]]) -> str:
    try:
        return await attempt()
    except RefusedCallError as refusal:
        return refusal.text
