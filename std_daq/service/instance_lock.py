"""InstanceLock: of each service of a system only one process runs; a second one says who is there, and changes nothing.

The lock is on a file in the runtime directory, so it counts in every container that shares the directory. The kernel
releases it when the process ends, however it ends.
"""

import fcntl
import json
import os
import socket
import time
from contextlib import suppress
from pathlib import Path

from std_daq.errors import ConfigError, ResourceError
from std_daq.telemetry.logs import get_logger

# The kernel ends a killed process that has mapped large rings in a part of a second; its successor waits for that.
WAIT_S = 2.0
_POLL_S = 0.02


class InstanceLock:
    """The lock of one instance, held until `release` or the end of this process.

    Parameters
    ----------
    directory
        Folder of the service records, in the runtime directory.
    instance
        Name of this process, unique among the services of the system.
    wait_s
        How long to wait for a process that is ending, in seconds.

    Raises
    ------
    ResourceError
        Another process is this instance; the message says which.
    ConfigError
        The file of the lock cannot be opened.
    """

    def __init__(self, directory: Path, instance: str, *, wait_s: float = WAIT_S) -> None:
        path = directory / f"{instance}.lock"
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o660)
        except OSError as error:
            raise ConfigError(f"cannot be opened: {error.strerror}", key="runtime_dir", value=str(path)) from None
        with suppress(OSError):  # of another user of this system
            os.fchmod(self._fd, 0o660)
        if not self._take(instance, wait_s):
            who = _holder(self._fd)
            os.close(self._fd)
            raise ResourceError(
                f"{instance} already runs{who}; two of them would disturb each other, so this one ends and has changed "
                f"nothing. End the other first, or give this system another name or runtime_dir (lock {path})"
            )
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode(), 0)

    def _take(self, instance: str, wait_s: float) -> bool:
        deadline = time.monotonic() + wait_s
        is_told = False
        while True:
            with suppress(BlockingIOError):
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            if time.monotonic() >= deadline:
                return False
            if not is_told:
                is_told = True
                get_logger().info("waits_for_predecessor", instance=instance, holder=_holder(self._fd).strip())
            time.sleep(_POLL_S)

    def release(self) -> None:
        """Release the lock. The file stays: whoever waits for it has opened it."""
        os.close(self._fd)


def _holder(fd: int) -> str:
    """Return what the holder has written about itself, to follow a verb; empty while it is writing."""
    try:
        holder = json.loads(os.pread(fd, 4096, 0))
        return f" as process {int(holder['pid'])} on {str(holder['host'])[:64]!r}"
    except (ValueError, TypeError, KeyError):
        return ""
