"""Incoming: the messages received over a connection; large ones are received directly into the caller's memory."""

from std_daq.streams.tcp.framing import GREETING, LENGTH, what_is_wrong_with
from std_daq.streams.tcp.transport import Transport

# Number of bytes to read if the next message is small, and the size of what follows is unknown.
READ_BYTES = 2**16
# Number of bytes to read after a large message: enough for the head of the next message. The data of that message are
# better received directly into the caller's memory.
_READ_ON_BYTES = 2**12
# Number of bytes of a large message to wait for, unless it ends before: waking up takes longer than receiving these.
_WAKE_UP_BYTES = 2**20
_NO_SPARE = memoryview(bytearray())


class Incoming:
    """The incoming messages of one side of a connection.

    Parameters
    ----------
    transport
        The connection.
    max_message_bytes
        Largest message that `receive` accepts; `receive_into` is limited by its memory.

    Attributes
    ----------
    is_greeted
        Whether the peer has sent a valid greeting.
    """

    def __init__(self, transport: Transport, max_message_bytes: int) -> None:
        self._transport = transport
        self._max_message_bytes = max_message_bytes
        self._buffer = memoryview(bytearray(READ_BYTES + LENGTH.size + max_message_bytes))
        self._start = self._end = 0
        self._length: int | None = None
        self._n_placed = 0
        self.is_greeted = False
        self._wakes_up_for = 1

    def receive(self) -> bytes | None:
        """Return the next message, or None if it has not arrived.

        Raises
        ------
        OSError
            The connection has ended.
        ValueError
            The peer violates the protocol.
        """
        length = self._next_length()
        if length is None:
            return None
        if length > self._max_message_bytes:
            raise ValueError(f"the peer sends a message of {length} bytes; the limit is {self._max_message_bytes}")
        if not self._read(length):
            return None
        self._length = None
        return self._cut_off(length)

    def receive_into(self, memory: memoryview) -> int | None:
        """Receive the next message into memory; call it again with the same memory until the message is complete.

        Returns
        -------
        Size of the message, or None if it is not complete.

        Raises
        ------
        OSError
            The connection has ended.
        ValueError
            The peer violates the protocol, or its message is larger than the memory.
        """
        length = self._next_length()
        if length is None:
            return None
        if length > len(memory):
            raise ValueError(f"the peer sends a message of {length} bytes in place of one of {len(memory)}")
        n_held = min(self._end - self._start, length - self._n_placed)
        if n_held:
            memory[self._n_placed : self._n_placed + n_held] = self._buffer[self._start : self._start + n_held]
            self._start += n_held
            self._n_placed += n_held
        while (n_wanted := length - self._n_placed) > 0:
            try:
                n = self._transport.receive_into(memory[self._n_placed : length], self._buffer[:_READ_ON_BYTES])
            except BlockingIOError:
                self._wake_up_for(min(n_wanted, _WAKE_UP_BYTES))
                return None
            if n == 0:
                raise ConnectionError("the peer has ended the connection")
            self._n_placed += min(n, n_wanted)
            self._start, self._end = 0, max(0, n - n_wanted)
        self._length = None
        self._n_placed = 0
        return length

    def _wake_up_for(self, n_bytes: int) -> None:
        """Wake a poller only when ``n_bytes`` have arrived, and not for each packet."""
        if n_bytes != self._wakes_up_for:
            self._wakes_up_for = n_bytes
            self._transport.wake_up_for(n_bytes)

    def _next_length(self) -> int | None:
        if self._length is None:
            if not self.is_greeted and not self._greet():
                return None
            if not self._read(LENGTH.size):
                return None
            (self._length,) = LENGTH.unpack_from(self._buffer, self._start)
            self._start += LENGTH.size
        return self._length

    def _greet(self) -> bool:
        try:
            if not self._read(len(GREETING)):
                return False
        except ConnectionError:
            # The alert of a peer that uses TLS is shorter than a greeting.
            if self._start == self._end:
                raise
            raise ValueError(what_is_wrong_with(self._cut_off(self._end - self._start))) from None
        greeting = self._cut_off(len(GREETING))
        if greeting != GREETING:
            raise ValueError(what_is_wrong_with(greeting))
        self.is_greeted = True
        return True

    def _cut_off(self, n_bytes: int) -> bytes:
        """Remove the next ``n_bytes`` from the buffer, and return them."""
        cut_off = bytes(self._buffer[self._start : self._start + n_bytes])
        self._start += n_bytes
        return cut_off

    def _read(self, n_bytes: int) -> bool:
        """Read until the buffer has at least ``n_bytes``; returns False if they have not arrived."""
        while (n_held := self._end - self._start) < n_bytes:
            if self._start:
                self._buffer[:n_held] = self._buffer[self._start : self._end]
                self._start, self._end = 0, n_held
            try:
                memory = self._buffer[n_held : n_held + max(READ_BYTES, n_bytes - n_held)]
                n = self._transport.receive_into(memory, _NO_SPARE)
            except BlockingIOError:
                self._wake_up_for(1)
                return False
            if n == 0:
                raise ConnectionError("the peer has ended the connection")
            self._end += n
        return True
