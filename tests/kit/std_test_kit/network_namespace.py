"""NetworkNamespace: a network of one's own for a thread and all that it starts, as on another machine."""

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CLONE_NEWNET = 0x40000000
_OF_THIS_THREAD = Path("/proc/thread-self/ns/net")

_libc = ctypes.CDLL(None, use_errno=True)


class NetworkNamespace:
    """A network namespace without a name: it ends with the last descriptor or process that is in it.

    Making one needs root. Whoever is inside has addresses, ports and a loopback interface of their own; files and
    memory are the machine's.

    Parameters
    ----------
    name
        For texts.

    Raises
    ------
    PermissionError
        Not root.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        home = os.open(_OF_THIS_THREAD, os.O_RDONLY)
        try:
            _check(_libc.unshare(CLONE_NEWNET), f"no network namespace '{name}'")
            self._fd = os.open(_OF_THIS_THREAD, os.O_RDONLY)
        finally:
            _check(_libc.setns(home, CLONE_NEWNET), "no way back to the machine's network")
            os.close(home)
        self.ip("link set dev lo up")

    @property
    def path(self) -> str:
        """Where other processes find it while it is open."""
        return f"/proc/{os.getpid()}/fd/{self._fd}"

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Take the present thread in; threads and processes started meanwhile are in it to their end."""
        home = os.open(_OF_THIS_THREAD, os.O_RDONLY)
        try:
            _check(_libc.setns(self._fd, CLONE_NEWNET), f"no way into '{self.name}'")
            yield
        finally:
            _check(_libc.setns(home, CLONE_NEWNET), "no way back to the machine's network")
            os.close(home)

    def ip(self, command: str) -> None:
        """Run iproute2's ``ip`` inside; raises OSError with what it says."""
        with self.inside():
            ended = subprocess.run(["ip", *command.split()], capture_output=True, text=True, check=False)
        if ended.returncode != 0:
            raise OSError(f"ip {command} in '{self.name}': {ended.stderr.strip()}")

    def close(self) -> None:
        """Let go of it."""
        os.close(self._fd)


def _check(result: int, problem: str) -> None:
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{problem}: {os.strerror(error)}")
