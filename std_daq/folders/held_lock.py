"""HeldLock: the lock of a file that a process holds to its end, with a record of who holds it.

The kernel releases the lock when the process ends, however it ends, and it counts in every container that shares the
folder. So what a process has left behind counts only while its lock is held: a file without its owner is nobody's.
"""

import fcntl
import json
import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

_POLL_S = 0.02
_MAX_RECORD_BYTES = 4096
_MAX_HOST_CHARS = 64


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lock.

    Attributes
    ----------
    pid, host
        The process, and the machine or container in which it runs.
    is_ready
        Whether it has said that it is ready.
    """

    pid: int
    host: str
    is_ready: bool = False

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host[:_MAX_HOST_CHARS]}"


class HeldLock:
    """The lock of one file.

    Parameters
    ----------
    path
        The file, which is created if it is not there, and is never removed: whoever waits for the lock has opened it.

    Raises
    ------
    OSError
        The file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o660)
        with suppress(OSError):  # of another user of this system
            os.fchmod(self._fd, 0o660)

    def take(self, wait_s: float, tell_that_it_waits: Callable[[], object] = lambda: None) -> bool:
        """Become the holder, and write who that is; returns whether that was possible within a time, in seconds.

        Who only looks whether the lock is held holds it for a moment.
        """
        deadline = time.monotonic() + wait_s
        is_told = False
        while True:
            with suppress(BlockingIOError):
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self.write(is_ready=False)
                return True
            if time.monotonic() >= deadline:
                return False
            if not is_told:
                is_told = True
                tell_that_it_waits()
            time.sleep(_POLL_S)

    def write(self, *, is_ready: bool) -> None:
        """Write who holds the lock, and whether it is ready."""
        holder = Holder(os.getpid(), socket.gethostname(), is_ready)
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, json.dumps(asdict(holder)).encode(), 0)

    def holder(self) -> Holder | None:
        """Return who has written last that it holds the lock; None while it is writing."""
        return _read(self._fd)

    def release(self) -> None:
        """Release the lock."""
        os.close(self._fd)


def holder_of(path: Path) -> Holder | None:
    """Return who holds the lock of a file now; None if nobody does. A holder who is just writing has the id 0."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return _read(fd) or Holder(0, "this machine")
    finally:
        os.close(fd)
    return None


def _read(fd: int) -> Holder | None:
    try:
        document = json.loads(os.pread(fd, _MAX_RECORD_BYTES, 0))
        return Holder(int(document["pid"]), str(document["host"]), bool(document.get("is_ready", False)))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
