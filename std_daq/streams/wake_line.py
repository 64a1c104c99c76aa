"""Wake lines: a publisher wakes listeners on its own host directly, through a Unix socket.

A ZMQ message passes through an I/O thread at each end, so three threads must wake up, one after the other, before the
message is read. With a wake line, one thread must wake up. The line carries only the signal that there is something to
read.
"""

import select
import socket
import time
from pathlib import Path

from std_daq.errors import PortError
from std_daq.streams.descriptors import most_peers

_RECONNECT_S = 0.05
_MAX_WAITING = 128
_RUNG = b"\0"
_MAX_LINES = 256


class WakeLines:
    """The publisher's end of the wake lines to a limited number of listeners; a slow listener does not block it.

    Parameters
    ----------
    path
        Path of the Unix socket; a socket that an earlier process left there is replaced.

    Raises
    ------
    PortError
        The socket cannot be created.
    """

    def __init__(self, path: Path) -> None:
        self._door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        try:
            path.unlink(missing_ok=True)
            self._door.bind(str(path))
            self._door.listen(_MAX_WAITING)
        except OSError as error:
            self._door.close()
            raise PortError(f"{path} cannot be bound: {error.strerror or error}") from None
        self._newcomers = select.poll()
        self._newcomers.register(self._door, select.POLLIN)
        self._lines: list[socket.socket] = []
        self._most = most_peers(_MAX_LINES)

    def ring(self) -> None:
        """Wake all listeners."""
        while self._newcomers.poll(0):
            try:
                self._lines.append(self._door.accept()[0])
            except OSError:
                break  # the listener has gone, or no more files can be opened now; try again next time
            if len(self._lines) > self._most:
                # Without a line a listener looks at the ring every 50 ms, and tries again to connect.
                self._lines.pop().close()
        for line in self._lines[:]:
            try:
                line.send(_RUNG, socket.MSG_DONTWAIT)
            except BlockingIOError:
                pass  # the line is full of signals that the listener has not read, so it will wake up anyway
            except OSError:
                self._lines.remove(line)
                line.close()

    def close(self) -> None:
        """Close all lines."""
        for line in (self._door, *self._lines):
            line.close()


class WakeLine:
    """The listener's end of the wake lines of one or more publishers, which may start later.

    Parameters
    ----------
    paths
        Paths of the Unix sockets of the publishers.
    """

    def __init__(self, *paths: Path) -> None:
        self._missing = set(paths)
        self._lines: dict[int, tuple[Path, socket.socket]] = {}
        self._next_try = 0.0
        self._poller = select.epoll()
        self._connect()

    def fileno(self) -> int:
        """Return a descriptor to poll, which is readable when a publisher has rung."""
        return self._poller.fileno()

    def wait(self, timeout_s: float) -> bool:
        """Wait until a publisher rings, at most ``timeout_s``; returns whether one did."""
        if self._missing:
            self._connect()
            if self._missing:
                timeout_s = min(timeout_s, _RECONNECT_S)
        is_rung = False
        for descriptor, _ in self._poller.poll(timeout_s):
            is_rung |= self._drain(descriptor)
        return is_rung

    def close(self) -> None:
        """Stop listening."""
        for _, line in self._lines.values():
            line.close()
        self._poller.close()

    def _drain(self, descriptor: int) -> bool:
        """Read all signals from a line; returns whether there was one."""
        path, line = self._lines[descriptor]
        is_rung = False
        try:
            while line.recv(1):
                is_rung = True
        except BlockingIOError:
            return is_rung
        except OSError:
            pass
        # The publisher has gone. Connect again in case it comes back.
        self._poller.unregister(descriptor)
        del self._lines[descriptor]
        line.close()
        self._missing.add(path)
        return is_rung

    def _connect(self) -> None:
        now = time.monotonic()
        if now < self._next_try:
            return
        self._next_try = now + _RECONNECT_S
        for path in list(self._missing):
            line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
            try:
                line.connect(str(path))
            except OSError:
                line.close()
                continue
            self._missing.discard(path)
            self._lines[line.fileno()] = (path, line)
            self._poller.register(line, select.EPOLLIN)
