"""WorkerLink: the messages between the service and one worker, which never hold up the service.

A worker may be stopped, or killed, in the middle of a message. So the service sends only what the worker takes at once
and keeps the rest, and it puts together what comes piece by piece. A message is its length, 8 bytes, and a pickle.
"""

import pickle
import socket
from typing import Any, BinaryIO

_LENGTH_BYTES = 8
_CHUNK_BYTES = 1 << 20


class WorkerLink:
    """The end of the service.

    Parameters
    ----------
    connection
        A connected socket, which is closed with the link.
    """

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._connection = connection
        self._unsent = bytearray()
        self._received = bytearray()

    @property
    def has_unsent(self) -> bool:
        """Whether something waits until the worker takes it."""
        return bool(self._unsent)

    def fileno(self) -> int:
        """Return the descriptor, to wait for it."""
        return self._connection.fileno()

    def put(self, message: tuple[Any, ...]) -> None:
        """Send a message as far as the worker takes it; `send` sends the rest."""
        self._unsent += pack(message)
        self.send()

    def send(self) -> None:
        """Send what waits, as far as the worker takes it; nothing if it has ended, which `received` tells."""
        try:
            while self._unsent:
                del self._unsent[: self._connection.send(self._unsent)]
        except BlockingIOError:
            pass
        except OSError:
            self._unsent.clear()

    def received(self) -> list[tuple[Any, ...]]:
        """Return the messages that have come whole.

        Raises
        ------
        EOFError
            The worker has ended, and all that it had sent was returned before.
        """
        has_ended = not self._read()
        messages = list(self._whole())
        if has_ended and not messages:
            raise EOFError("the worker has ended")
        return messages

    def close(self) -> None:
        """Close the connection; the worker ends."""
        self._connection.close()

    def _read(self) -> bool:
        """Read what has come; returns whether the worker is still there."""
        try:
            while chunk := self._connection.recv(_CHUNK_BYTES):
                self._received += chunk
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def _whole(self) -> list[tuple[Any, ...]]:
        messages = []
        begin, n_received = 0, len(self._received)
        while n_received - begin >= _LENGTH_BYTES:
            end = begin + _LENGTH_BYTES + _length(self._received[begin : begin + _LENGTH_BYTES])
            if end > n_received:
                break
            messages.append(pickle.loads(self._received[begin + _LENGTH_BYTES : end]))  # noqa: S301 - our own process
            begin = end
        del self._received[:begin]
        return messages


def pack(message: tuple[Any, ...]) -> bytes:
    """Return the bytes of a message."""
    content = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    return len(content).to_bytes(_LENGTH_BYTES, "little") + content


def read_message(stream: BinaryIO) -> tuple[Any, ...] | None:
    """Wait for the next message, in the worker; None if the service has closed the connection, or is gone."""
    head = stream.read(_LENGTH_BYTES)
    if len(head) < _LENGTH_BYTES:
        return None
    content = stream.read(_length(head))
    if len(content) < _length(head):
        return None
    message: tuple[Any, ...] = pickle.loads(content)  # noqa: S301 - from the service that has started this process
    return message


def _length(head: bytes | bytearray) -> int:
    return int.from_bytes(head, "little")
