"""Incoming: messages out of a connection, the large ones straight into the memory where they are wanted."""

from std_daq.streams.tcp.framing import GREETING, LENGTH, what_is_wrong_with
from std_daq.streams.tcp.transport import Transport

# So much is read where the next message is a small one, and what follows it is not known.
READ_BYTES = 2**16
# So much is read beyond a large one: the head of the next, and little of what would better go where it is wanted.
_READ_ON_BYTES = 2**12
# So much of a large one is waited for, if it is not its end: waking up costs more than this takes to come.
_WAKE_UP_BYTES = 2**20
_NO_SPARE = memoryview(bytearray())


class Incoming:
    """What one side receives.

    Parameters
    ----------
    transport
        The connection.
    max_message_bytes
        A larger message ends the connection, unless there is memory for it.

    Attributes
    ----------
    is_greeted
        Whether the peer has said that it speaks the same.
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
        """Return the next message, None where it has not come.

        Raises
        ------
        OSError
            When the connection has ended.
        ValueError
            When the peer does not keep to the protocol.
        """
        length = self._next_length()
        if length is None:
            return None
        if length > self._max_message_bytes:
            raise ValueError(f"it sends a message of {length} bytes, {self._max_message_bytes} at most are expected")
        if not self._read(length):
            return None
        self._length = None
        return self._cut_off(length)

    def receive_into(self, memory: memoryview) -> int | None:
        """Put the next message into memory; to be called with the same memory until all of it has come.

        Returns
        -------
        The size of the message, None where it has not come.

        Raises
        ------
        OSError
            When the connection has ended.
        ValueError
            When the peer does not keep to the protocol, or its message is larger than the memory.
        """
        length = self._next_length()
        if length is None:
            return None
        if length > len(memory):
            raise ValueError(f"it sends a message of {length} bytes in place of one of {len(memory)}")
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
                raise ConnectionError("it has ended the connection")
            self._n_placed += min(n, n_wanted)
            self._start, self._end = 0, max(0, n - n_wanted)
        self._length = None
        self._n_placed = 0
        return length

    def _wake_up_for(self, n_bytes: int) -> None:
        """Have the system wake up who polls for so many bytes, and not for each packet."""
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
            # The alert of a side with TLS is shorter than a greeting.
            if self._start == self._end:
                raise
            raise ValueError(what_is_wrong_with(self._cut_off(self._end - self._start))) from None
        greeting = self._cut_off(len(GREETING))
        if greeting != GREETING:
            raise ValueError(what_is_wrong_with(greeting))
        self.is_greeted = True
        return True

    def _cut_off(self, n_bytes: int) -> bytes:
        """Return what is next in the buffer, and leave it behind."""
        cut_off = bytes(self._buffer[self._start : self._start + n_bytes])
        self._start += n_bytes
        return cut_off

    def _read(self, n_bytes: int) -> bool:
        """Have at least so many bytes in the buffer; returns False where they have not come."""
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
                raise ConnectionError("it has ended the connection")
            self._end += n
        return True
