"""Outbox: what goes to one writer, in order; keeps what its queue does not take."""

from collections import deque
from typing import Protocol


class MessageQueue(Protocol):
    """Where messages go."""

    def push(self, message: bytes) -> bool:
        """Take a message; returns False where there is no room for it now."""

    def close(self, linger_s: float = ...) -> None:
        """Let go of it; what is queued is still sent for at most ``linger_s``."""


class Outbox:
    """Never blocks and drops nothing.

    What waits here is bounded by time: a writer whose queue does not move is taken for lost after
    ``writer_timeout_s``, and then `clear` is called.

    Parameters
    ----------
    queue
        Leads to the writer.
    """

    def __init__(self, queue: MessageQueue) -> None:
        self._queue = queue
        self._waiting: deque[bytes] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, *messages: bytes) -> None:
        """Send messages as soon as there is room."""
        self._waiting.extend(messages)
        self.flush()

    def flush(self) -> None:
        """Send what waits, as far as there is room."""
        while self._waiting and self._queue.push(self._waiting[0]):
            self._waiting.popleft()

    def clear(self) -> None:
        """Forget what waits."""
        self._waiting.clear()

    def close(self) -> None:
        """Send what there is room for, and end."""
        self.flush()
        self._queue.close(linger_s=0.5)
