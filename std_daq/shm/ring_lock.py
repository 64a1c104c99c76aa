"""The lock of a ring's name: while a process creates, takes over, replaces or cleans up a ring, no other one does.

The lock is on a file of its own beside the ring, ``.<name>.std-daq-lock``, that other users cannot open. A lock on the
directory could be held by anyone who may read it, and would keep every service from starting. The file exists only
while somebody holds or waits for the lock; what a killed process left is used by the next.
"""

import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from std_daq.errors import SharedMemoryError
from std_daq.folders.open_folder import OpenFolder
from std_daq.folders.owners import distrust, user_text
from std_daq.shm.writer_lock import lock_holders
from std_daq.telemetry.logs import get_logger

# The kernel needs about a minute to fill 200 GB with zeros; meanwhile the other owners of the ring wait.
WAIT_S = 300.0
_POLL_S = 0.02
_TOLD_EVERY_S = 5.0
LOCK_NAME = re.compile(r"\.(?P<ring>.+)\.std-daq-lock")


@contextmanager
def ring_lock(folder: OpenFolder, name: str, *, wait_s: float = WAIT_S) -> Iterator[None]:
    """Hold the lock of a ring's name while the context is open.

    Parameters
    ----------
    folder
        Folder of the ring.
    name
        Name of the ring.
    wait_s
        How long to wait for another process, in seconds. Meanwhile the log says every 5 s which process it is.

    Raises
    ------
    SharedMemoryError
        The lock cannot be had: another process has held it for this long, or another user has made its file.
    """
    path = folder.path / f".{name}.std-daq-lock"
    fd = _take(folder, path, time.monotonic(), wait_s)
    try:
        yield
    finally:
        with suppress(OSError):  # of another user of the group, in a directory where only owners remove files
            folder.remove(path.name)
        os.close(fd)


def _take(folder: OpenFolder, path: Path, began: float, wait_s: float) -> int:
    told = began
    while True:
        fd = _open(folder, path)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever held the lock removes the file; a lock on a removed file excludes nobody.
            if _is_there(folder, path.name, fd):
                return fd
        except BlockingIOError:
            now = time.monotonic()
            if now - began >= wait_s:
                holder = _holder(fd)
                os.close(fd)
                raise SharedMemoryError(
                    f"{path}: {holder} has held this lock for {wait_s:g} s, so the ring cannot be used; end that "
                    "process if it hangs (std-daq shm list shows who uses the rings)"
                ) from None
            if now - told >= _TOLD_EVERY_S:
                told = now
                get_logger().warning("ring_lock_waits", path=str(path), holder=_holder(fd), waited_s=round(now - began))
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
        time.sleep(_POLL_S)


def _open(folder: OpenFolder, path: Path) -> int:
    """Open the file of the lock, and make it if it is not there."""
    while True:
        try:
            fd = folder.make(path.name, 0o660)
        except FileExistsError:
            try:
                fd = folder.open_file(path.name, os.O_RDWR)
            except FileNotFoundError:
                continue  # it has just been removed
            except OSError as error:
                raise SharedMemoryError(f"{path}: cannot be opened: {error.strerror}; {_whose(folder, path)}") from None
        except OSError as error:
            raise SharedMemoryError(
                f"{folder.path}: no ring can be created here: {error.strerror}; set shared_memory.directory, or change "
                "who may write there"
            ) from None
        else:
            os.fchmod(fd, 0o660)
        reason = distrust(fd, folder.fd)
        if reason:
            os.close(fd)
            raise SharedMemoryError(f"{path}: the lock of the ring {reason}")
        return fd


def _is_there(folder: OpenFolder, name: str, fd: int) -> bool:
    try:
        return os.path.samestat(os.stat(name, dir_fd=folder.fd, follow_symlinks=False), os.fstat(fd))
    except FileNotFoundError:
        return False


def _holder(fd: int) -> str:
    holders = [pid for pid in lock_holders(fd) if pid != os.getpid()]
    return f"process {', '.join(map(str, holders))}" if holders else "a process of another user or container"


def _whose(folder: OpenFolder, path: Path) -> str:
    try:
        status = os.stat(path.name, dir_fd=folder.fd, follow_symlinks=False)
    except OSError:
        return "start this process again"
    return f"it belongs to {user_text(status.st_uid)}; remove it if no process uses it"
