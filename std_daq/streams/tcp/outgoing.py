"""Outgoing: the messages queued for a connection, which are sent from the caller's memory without a copy."""

from collections import deque
from dataclasses import dataclass
from itertools import islice

from std_daq.streams.tcp.framing import GREETING, LENGTH
from std_daq.streams.tcp.transport import Transport

# This high-water mark is low because queued memory may be overwritten while it waits; the kernel has its own queue.
MAX_WAITING_BYTES = 2**18
# Limits the memory for a peer that sends requests but does not read the answers, which may be short.
_MAX_WAITING_PARTS = 1024
_MAX_PARTS_A_CALL = 64


class Outgoing:
    """The outgoing messages of one side of a connection; several messages are sent in one call.

    Parameters
    ----------
    transport
        The connection; None if there is none yet.

    Attributes
    ----------
    n_waiting
        Number of queued bytes that the connection has not accepted yet.
    """

    def __init__(self, transport: Transport | None = None) -> None:
        self._transport = transport
        self._parts: deque[bytes | memoryview] = deque([GREETING])
        self._n_taken = 0
        self.n_waiting = len(GREETING)

    @property
    def waits_for_room(self) -> bool:
        """Whether bytes wait until the network can accept more."""
        transport = self._transport
        return transport is not None and (transport.has_unsent or (transport.is_open and self.n_waiting > 0))

    def begin(self, transport: Transport) -> None:
        """Use a connection for the queued messages; another one may replace it as long as it has accepted no bytes."""
        self._transport = transport

    def put(self, message: bytes | memoryview) -> "Departure | None":
        """Queue a message; returns None, and queues nothing, at the high-water mark. Raises as `transmit` does."""
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
        """Send as many queued bytes as the connection accepts.

        Raises
        ------
        OSError
            The connection has ended.
        ValueError
            Communication with the peer is impossible; the text says why.
        """
        parts, transport = self._parts, self._transport
        # Call the transport also when the queue is empty: it may hold bytes that it has accepted and not sent.
        while transport is not None and (parts or transport.has_unsent):
            try:
                n = transport.send(islice(parts, _MAX_PARTS_A_CALL))
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
        return self.n_waiting >= MAX_WAITING_BYTES or len(self._parts) >= _MAX_WAITING_PARTS

    def has_taken(self, n_bytes: int) -> bool:
        """Return whether the connection has accepted ``n_bytes`` in total, or has ended."""
        return self._n_taken >= n_bytes

    def end(self) -> None:
        """Discard all queued messages; their memory is not read any more."""
        self._parts.clear()
        self._n_taken += self.n_waiting
        self.n_waiting = 0


@dataclass(frozen=True, slots=True)
class Departure:
    """Tells whether the memory of a queued message has been read."""

    outgoing: Outgoing
    at: int

    @property
    def done(self) -> bool:
        """Whether the memory has been read, or will not be read any more."""
        return self.outgoing.has_taken(self.at)
