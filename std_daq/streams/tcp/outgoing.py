"""Outgoing: messages on their way into a connection, out of the memory that they lie in."""

from collections import deque
from dataclasses import dataclass
from itertools import islice

from std_daq.streams.tcp.framing import GREETING, LENGTH
from std_daq.streams.tcp.transport import Transport

# Little, because memory that is sent in place may be overwritten while it waits; the kernel has a queue of its own.
MAX_WAITING_BYTES = 2**18
# A peer that asks and takes no answers costs no more, however short they are.
_MAX_WAITING_PARTS = 1024
_MAX_PARTS_A_CALL = 64


class Outgoing:
    """What one side sends: several messages at once, as soon as the connection takes them.

    Parameters
    ----------
    transport
        The connection; None where there is none yet.

    Attributes
    ----------
    n_waiting
        Bytes that the connection has not taken yet.
    """

    def __init__(self, transport: Transport | None = None) -> None:
        self._transport = transport
        self._parts: deque[bytes | memoryview] = deque([GREETING])
        self._n_taken = 0
        self.n_waiting = len(GREETING)

    @property
    def waits_for_room(self) -> bool:
        """Whether something is to be sent as soon as the network takes more."""
        transport = self._transport
        return transport is not None and (transport.has_unsent or (transport.is_open and self.n_waiting > 0))

    def begin(self, transport: Transport) -> None:
        """Send what waits over a connection; over another one, where the one before has not taken anything."""
        self._transport = transport

    def put(self, message: bytes | memoryview) -> "Departure | None":
        """Queue a message; None, and nothing is queued, where enough waits already. Raises as `transmit`."""
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
        """Hand over what the connection takes.

        Raises
        ------
        OSError
            When the connection has ended.
        ValueError
            When the peer cannot be spoken with; the text says why.
        """
        parts, transport = self._parts, self._transport
        # Once more where nothing is left: what was taken may not have been sent.
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
        """Return whether the connection has taken so many bytes in all, or takes no more."""
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
