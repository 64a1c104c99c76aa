"""EndedSignal: what the receiving threads wake the main thread with when frames have ended."""

import os
import select


class EndedSignal:
    """An eventfd. Compiled threads write it; the main thread waits for it."""

    def __init__(self) -> None:
        self.fileno = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll = select.poll()
        self._poll.register(self.fileno, select.POLLIN)

    def wait(self, timeout_ms: int) -> None:
        """Wait until it is written, for so long at most; then it can be waited for again."""
        if self._poll.poll(timeout_ms):
            os.eventfd_read(self.fileno)

    def close(self) -> None:
        """Release the descriptor; no thread may write it any more."""
        os.close(self.fileno)
