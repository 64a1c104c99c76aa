"""CallThread: a thread for calls that may take long, or never return, as those to files of a server that is gone."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, TypeVar

Result = TypeVar("Result")
_LOOK_S = 0.005


class CallThread:
    """Runs one call after the other in a thread of its own, which starts with the first one.

    The thread is a daemon: a call that never returns keeps neither the event loop nor the process.

    Parameters
    ----------
    name
        Name of the thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    async def run(self, work: Callable[[], Result]) -> Result:
        """Return what a call returns, or raise what it raises."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Result] = loop.create_future()

        def call() -> None:
            setting: Callable[[Any], None] = done.set_result
            outcome: Any
            try:
                outcome = work()
            except Exception as error:  # noqa: BLE001 - it is raised where the call is waited for
                setting, outcome = done.set_exception, error
            with suppress(RuntimeError):  # the loop may have ended meanwhile
                loop.call_soon_threadsafe(lambda: None if done.done() else setting(outcome))

        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name=self._name, daemon=True)
            self._thread.start()
        self._calls.put(call)
        return await done

    async def close(self) -> None:
        """Wait for the calls that were begun, and end the thread."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._calls.put(None)
        while thread.is_alive():
            await asyncio.sleep(_LOOK_S)

    def leave(self) -> None:
        """End the thread after the calls that were begun, without waiting for it."""
        self._calls.put(None)
        self._thread = None

    def _serve(self) -> None:
        while (call := self._calls.get()) is not None:
            call()


async def within(seconds: float | None, name: str, work: Callable[[], Result]) -> Result:
    """Return what a single call returns; raises TimeoutError if it takes longer.

    A call that is not waited for any more, for this reason or because the caller is cancelled, is left behind.
    """
    thread = CallThread(name)
    async with asyncio.timeout(seconds):
        try:
            return await thread.run(work)
        finally:
            thread.leave()
