"""SerialPort: a serial line in the event loop; reading and writing never block."""

import asyncio
import errno
import fcntl
import os
import termios
import tty
from collections.abc import Callable
from contextlib import suppress
from typing import Any

_N_READ_BYTES = 65536
_SPEEDS = (4, 5)
_CONTROL_FLAGS = 2


class SerialPort:
    """A serial line of 8 bits, without parity and flow control, that belongs to this process alone.

    Parameters
    ----------
    path
        The device.
    baud
        Its speed; an USB device has none, and takes any.
    take
        Called with the bytes that have come.

    Raises
    ------
    OSError
        The device cannot be opened, or another program uses it.
    """

    def __init__(self, path: str, baud: int, take: Callable[[bytes], None]) -> None:
        self._take = take
        self._loop = asyncio.get_running_loop()
        self.gone: asyncio.Future[str] = self._loop.create_future()
        self._one_message_at_a_time = asyncio.Lock()
        self._fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            self._set_up(baud)
        except BaseException:
            os.close(self._fd)
            raise
        self._is_open = True
        self._loop.add_reader(self._fd, self._read)

    async def write(self, data: bytes) -> None:
        """Send bytes, which nothing else interrupts; raises OSError if the device is gone."""
        async with self._one_message_at_a_time:
            await self._write(data)

    async def _write(self, data: bytes) -> None:
        while data and self._is_open:
            try:
                data = data[os.write(self._fd, data) :]
            except BlockingIOError:
                writable = self._loop.create_future()
                self._loop.add_writer(self._fd, _resolve, writable)
                try:
                    ends: list[asyncio.Future[Any]] = [writable, self.gone]
                    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    self._loop.remove_writer(self._fd)
        if not self._is_open:
            raise OSError(errno.EIO, "the device is closed")

    def close(self) -> None:
        """Close the line; may be called again."""
        if self._is_open:
            self._is_open = False
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
        self._tell_gone("it is closed")

    def _set_up(self, baud: int) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OSError(errno.EBUSY, "another program uses it") from None
        speed = getattr(termios, f"B{baud}", None)
        if speed is None:
            raise OSError(errno.EINVAL, f"a speed of {baud} baud is not possible")
        try:
            tty.setraw(self._fd)
            settings = termios.tcgetattr(self._fd)
            for index in _SPEEDS:
                settings[index] = speed
            settings[_CONTROL_FLAGS] |= termios.CLOCAL | termios.CREAD
            settings[_CONTROL_FLAGS] &= ~(termios.CSTOPB | termios.CRTSCTS | termios.HUPCL)
            termios.tcsetattr(self._fd, termios.TCSANOW, settings)
            termios.tcflush(self._fd, termios.TCIOFLUSH)
        except termios.error as error:
            raise OSError(error.args[0], f"it is no serial line: {error.args[1]}") from None

    def _read(self) -> None:
        try:
            data = os.read(self._fd, _N_READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(error.strerror or str(error))
            return
        if data:
            self._take(data)
        else:
            self._lose("it has been unplugged")

    def _lose(self, reason: str) -> None:
        self._loop.remove_reader(self._fd)
        self._tell_gone(reason)

    def _tell_gone(self, reason: str) -> None:
        with suppress(asyncio.InvalidStateError):
            self.gone.set_result(reason)


def _resolve(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
