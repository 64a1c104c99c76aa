"""EndedSignal: wakes up the main thread when receiving threads have ended frames."""

import os
import select


class EndedSignal:
    """An eventfd: compiled threads write to it, and the main thread waits for that."""

    def __init__(self) -> None:
        self.fileno = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll = select.poll()
        self._poll.register(self.fileno, select.POLLIN)

    def wait(self, timeout_ms: int) -> None:
        """Wait for a signal, at most ``timeout_ms``, and clear it."""
        if self._poll.poll(timeout_ms):
            os.eventfd_read(self.fileno)

    def close(self) -> None:
        """Close the descriptor; no thread may write to it any more."""
        os.close(self.fileno)
