"""Outbox: messages to one writer, in order; holds those for which its queue has no room."""

from collections import deque
from typing import Protocol


class MessageQueue(Protocol):
    """Queue to a writer."""

    def push(self, message: bytes) -> bool:
        """Queue a message, and return True; return False if the queue is full."""

    def close(self, linger_s: float = ...) -> None:
        """Close the queue, after sending queued messages for at most ``linger_s`` seconds."""


class Outbox:
    """Sends messages to one writer, without ever blocking or dropping any.

    The number of waiting messages has no limit, but the time that they wait has one. A writer that does not read its
    queue counts as lost after ``writer_timeout_s``; then `clear` is called.

    Parameters
    ----------
    queue
        Queue to the writer.
    """

    def __init__(self, queue: MessageQueue) -> None:
        self._queue = queue
        self._waiting: deque[bytes] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, *messages: bytes) -> None:
        """Send messages, as soon as the queue has room."""
        self._waiting.extend(messages)
        self.flush()

    def flush(self) -> None:
        """Send waiting messages, as long as the queue has room."""
        while self._waiting and self._queue.push(self._waiting[0]):
            self._waiting.popleft()

    def clear(self) -> None:
        """Discard all waiting messages."""
        self._waiting.clear()

    def close(self) -> None:
        """Send the messages for which the queue has room, and close it."""
        self.flush()
        self._queue.close(linger_s=0.5)
