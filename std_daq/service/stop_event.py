"""StopEvent: an Event that a signal handler may set."""

import threading
import time

# A waiter notices after this time, at the latest, a handler that ran between its check of the event and its wait.
_LOOK_S = 0.05


class StopEvent(threading.Event):
    """An Event that a signal handler may set while it interrupts a thread that waits for the event.

    A thread that begins to wait for a `threading.Event` holds the lock of the event for a moment. If a handler runs in
    that moment and calls ``set``, it waits for the lock in the thread that holds it: a deadlock, after which no
    signal but SIGKILL ends the service.
    """

    def __init__(self) -> None:
        super().__init__()
        self._changed = threading.Condition(threading.RLock())
        self._has_come = False

    def is_set(self) -> bool:
        """Return whether the event is set."""
        return self._has_come

    def set(self) -> None:
        """Set the event, and wake all threads that wait for it."""
        self._has_come = True
        with self._changed:
            self._changed.notify_all()

    def clear(self) -> None:
        """Reset the event."""
        self._has_come = False

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the event is set, at most ``timeout`` seconds; returns whether it is set."""
        end = None if timeout is None else time.monotonic() + timeout
        while not self._has_come:
            rest = _LOOK_S if end is None else min(_LOOK_S, end - time.monotonic())
            if rest <= 0:
                break
            with self._changed:
                self._changed.wait(rest)
        return self._has_come
