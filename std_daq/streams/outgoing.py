"""Outgoing: messages on their way into a TCP socket, from the memory that they lie in."""

import socket
from collections import deque
from dataclasses import dataclass
from itertools import islice

from std_daq.streams.framing import GREETING, LENGTH

# Little, because memory that is sent in place may be overwritten while it waits; the kernel has a queue of its own.
ENOUGH_BYTES = 2**18
_MOST_PARTS = 64
# A peer that asks and takes no answers costs no more, however short they are.
_ENOUGH_PARTS = 1024


class Outgoing:
    """What one socket sends: several messages at once, as soon as it takes them.

    Parameters
    ----------
    connection
        A socket that does not block; None where there is none yet.

    Attributes
    ----------
    n_waiting
        Bytes that the socket has not taken yet.
    """

    def __init__(self, connection: socket.socket | None = None) -> None:
        self._socket = connection
        self._parts: deque[bytes | memoryview] = deque([GREETING])
        self._n_taken = 0
        self.n_waiting = len(GREETING)

    def begin(self, connection: socket.socket) -> None:
        """Send what waits over a socket; over another one, where the one before has not taken anything."""
        self._socket = connection

    def put(self, message: bytes | memoryview) -> "Departure | None":
        """Queue a message; None, and nothing is queued, where enough waits already.

        Raises
        ------
        OSError
            When the connection has ended.
        """
        if self._has_enough:
            self.transmit()
            if self._has_enough:
                return None
        self._parts.append(LENGTH.pack(len(message)))
        if len(message):
            self._parts.append(message)
        self.n_waiting += LENGTH.size + len(message)
        return Departure(self, self._n_taken + self.n_waiting)

    def transmit(self) -> None:
        """Hand over to the socket what it takes; raises OSError when the connection has ended."""
        parts = self._parts
        while parts and self._socket is not None:
            try:
                n = self._socket.sendmsg(islice(parts, _MOST_PARTS))
            except BlockingIOError:
                return
            self._n_taken += n
            self.n_waiting -= n
            while parts and n >= len(parts[0]):
                n -= len(parts.popleft())
            if n:
                parts[0] = memoryview(parts[0])[n:]

    @property
    def _has_enough(self) -> bool:
        return self.n_waiting >= ENOUGH_BYTES or len(self._parts) >= _ENOUGH_PARTS

    def has_taken(self, n_bytes: int) -> bool:
        """Return whether the socket has taken so many bytes in all, or takes no more."""
        return self._n_taken >= n_bytes

    def end(self) -> None:
        """Forget what waits: memory that is sent in place is not read any more."""
        self._parts.clear()
        self._n_taken += self.n_waiting
        self.n_waiting = 0


@dataclass(frozen=True, slots=True)
class Departure:
    """Tells whether a message has left the memory that it was sent from."""

    outgoing: Outgoing
    at: int

    @property
    def done(self) -> bool:
        """Whether it has."""
        return self.outgoing.has_taken(self.at)
