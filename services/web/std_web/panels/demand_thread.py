"""DemandThread: work in a thread that goes on only while somebody looks at what it brings."""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Self

from std_daq.telemetry.logs import get_logger

_LINGER_S = 15.0
_PAUSE_S = 1.0
_JOIN_S = 5.0


class Demand:
    """Tells work whether it is still wanted.

    Parameters
    ----------
    clock
        Returns monotonic time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until_s = 0.0
        self._ended = threading.Event()

    @property
    def is_over(self) -> bool:
        """Whether nobody looks any more, or the service ends."""
        return self._ended.is_set() or self._clock() >= self._until_s

    def renew(self, seconds: float) -> None:
        """Note that somebody looks, and probably will for some seconds."""
        self._until_s = max(self._until_s, self._clock() + seconds)

    def end(self) -> None:
        """End the work."""
        self._ended.set()

    def wait(self, seconds: float) -> bool:
        """Wait; returns whether the work is over."""
        return self._ended.wait(seconds) or self.is_over


class DemandThread:
    """Runs work in a thread from the first look until some seconds after the last one: what nobody sees costs nothing.

    It is a part of the console: an asynchronous context manager.

    Parameters
    ----------
    name
        Name of the thread.
    work
        It is to return soon after its `Demand` is over. An error that it raises is logged; it is called again a second
        later, if somebody still looks.
    linger_s
        How long the work goes on after the last look, in seconds.

    Attributes
    ----------
    problem
        Why the work has failed the last time; empty while it goes on.
    """

    def __init__(self, name: str, work: Callable[[Demand], None], linger_s: float = _LINGER_S) -> None:
        self.problem = ""
        self._name = name
        self._work = work
        self._linger_s = linger_s
        self._demand = Demand()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await asyncio.to_thread(self.close)

    @property
    def is_running(self) -> bool:
        """Whether the work goes on."""
        with self._lock:
            return self._thread is not None

    def look(self) -> None:
        """Note that somebody looks; it may be called in any thread, and waits for nothing."""
        with self._lock:
            self._demand.renew(self._linger_s)
            if self._thread is None and not self._demand.is_over:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()

    def close(self) -> None:
        """End the work, and wait for its end."""
        self._demand.end()
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join(_JOIN_S)

    def _run(self) -> None:
        while True:
            try:
                self.problem = ""
                self._work(self._demand)
            except Exception as error:  # noqa: BLE001 - the top of a thread; those who look are told
                self.problem = str(error) or repr(error)
                get_logger().warning("panel_failed", panel=self._name, error=repr(error), exc_info=error)
                self._demand.wait(_PAUSE_S)
            with self._lock:
                if self._demand.is_over:  # a look comes either before this, or starts another thread
                    self._thread = None
                    return
