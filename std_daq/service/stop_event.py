"""StopEvent: an Event that signal handlers may set."""

import threading
import time

# A handler that comes between a look at the event and the wait for it is noticed after this time.
_LOOK_S = 0.05


class StopEvent(threading.Event):
    """An Event that a signal handler may set while the thread that it interrupts waits for it.

    The lock of `threading.Event` is held for an instant by whoever begins to wait. A handler that comes in that instant
    waits for the lock for ever, in the very thread that holds it: the service would not end, whatever it is sent.
    """

    def __init__(self) -> None:
        super().__init__()
        self._changed = threading.Condition(threading.RLock())
        self._has_come = False

    def is_set(self) -> bool:
        """Return whether it was set."""
        return self._has_come

    def set(self) -> None:
        """Set it, and wake those who wait."""
        self._has_come = True
        with self._changed:
            self._changed.notify_all()

    def clear(self) -> None:
        """Have it not set."""
        self._has_come = False

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set, at most `timeout` seconds; returns whether it is."""
        end = None if timeout is None else time.monotonic() + timeout
        while not self._has_come:
            rest = _LOOK_S if end is None else min(_LOOK_S, end - time.monotonic())
            if rest <= 0:
                break
            with self._changed:
                self._changed.wait(rest)
        return self._has_come
