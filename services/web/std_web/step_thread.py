"""StepThread: a step that is repeated in a thread of its own, from the start of the service to its end."""

import asyncio
import threading
from collections.abc import Callable

_AFTER_ERROR_S = 1.0


class StepThread:
    """Repeats a step; an error of one does not end the next ones.

    Parameters
    ----------
    name
        Name of the thread.
    step
        What is repeated.
    period_s
        Pause between two steps, in seconds; 0 for a step that waits itself. After an error it is a second at least.
    failed
        Is told of an error that nobody foresaw.
    close
        Called in the thread after the last step.
    """

    def __init__(
        self,
        name: str,
        step: Callable[[], None],
        *,
        period_s: float,
        failed: Callable[[Exception], None],
        close: Callable[[], None] | None = None,
    ) -> None:
        self._step = step
        self._period_s = period_s
        self._failed = failed
        self._close = close
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin with the first step."""
        self._thread.start()

    async def end(self) -> None:
        """End after the step that goes on, and wait for its end without holding up the event loop."""
        self._ending.set()
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        try:
            while not self._ending.is_set():
                pause_s = self._period_s
                try:
                    self._step()
                except Exception as error:  # noqa: BLE001 - the top of a thread: the others must be served on
                    self._failed(error)
                    pause_s = max(pause_s, _AFTER_ERROR_S)
                if pause_s:
                    self._ending.wait(pause_s)
        finally:
            if self._close is not None:
                self._close()
