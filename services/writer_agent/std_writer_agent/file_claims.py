"""FileClaims: of two systems that are asked to write the same file, the second one refuses its request at once.

A file is claimed from the acceptance of its request to the end of its run. The claim is a lock in the folder that holds
the runtime directories of all systems. So it counts for all systems of a machine, and the kernel releases it when the
agent ends, however it ends. Systems with other runtime directories, or on other machines, know nothing of it: the
writer that comes second finds the file. A folder that a stranger may have made claims nothing: he could keep every
request from its file.
"""

import fcntl
import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path

from std_daq.errors import RequestRefusedError
from std_daq.folders.owners import distrust
from std_daq.telemetry.logs import get_logger

FOLDER = ".claimed-files"  # no system has this name
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_PATH_ONLY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_MODE = 0o660


class FileClaims:
    """The files that one agent has claimed.

    Parameters
    ----------
    folder
        Where the locks are; made if it is not there.
    owner
        Name of the system, for others.
    """

    def __init__(self, folder: Path, owner: str) -> None:
        self._folder = folder
        self._owner = owner
        self._held: dict[Path, int] = {}
        self._is_failure_told = False

    def find_claimant(self, file: Path) -> str:
        """Return the name of another system that has claimed a file; empty if there is none."""
        lock = self._lock_of(file)
        if lock in self._held:
            return ""
        try:
            self._check_folder()
            fd = os.open(lock, _FLAGS & ~os.O_CREAT)
        except OSError:
            return ""
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _owner_in(fd)
        finally:
            os.close(fd)
        return ""

    def take(self, file: Path) -> None:
        """Claim a file; raises RequestRefusedError if another system has claimed it.

        Where no lock can be made, because the folder is of another user for example, the file is not claimed, and the
        log says so once.
        """
        lock = self._lock_of(file)
        if lock in self._held:
            return
        try:
            fd = self._open_locked(lock)
        except BlockingIOError:
            raise RequestRefusedError(claimed(file, self.find_claimant(file))) from None
        except OSError as error:
            if not self._is_failure_told:
                self._is_failure_told = True
                get_logger().warning("file_not_claimed", folder=str(self._folder), error=error.strerror or str(error))
            return
        os.ftruncate(fd, 0)
        os.pwrite(fd, json.dumps({"system": self._owner, "file": str(file)}).encode(), 0)
        self._held[lock] = fd

    def release(self, file: Path) -> None:
        """Give a file up, if it is claimed."""
        lock = self._lock_of(file)
        fd = self._held.pop(lock, None)
        if fd is not None:
            with suppress(OSError):
                lock.unlink()
            os.close(fd)

    def close(self) -> None:
        """Give all files up; their requests wait for the next process."""
        for fd in self._held.values():
            os.close(fd)
        self._held.clear()

    def _open_locked(self, lock: Path) -> int:
        self._folder.mkdir(mode=0o770, exist_ok=True)
        self._check_folder()
        while True:
            fd = os.open(lock, _FLAGS, _MODE)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(fd).st_nlink:  # else its owner has removed it since it was opened
                    return fd
            except OSError:
                os.close(fd)
                raise
            os.close(fd)

    def _check_folder(self) -> None:
        """Raise OSError if the folder is not there, or may be a stranger's."""
        around = os.open(self._folder.parent, _PATH_ONLY)
        try:
            folder = os.open(self._folder.name, _PATH_ONLY | os.O_NOFOLLOW, dir_fd=around)
            try:
                if reason := distrust(folder, around):
                    raise PermissionError(f"{self._folder} {reason}")
            finally:
                os.close(folder)
        finally:
            os.close(around)

    def _lock_of(self, file: Path) -> Path:
        """Return the lock of a file, which is the same by whatever links its folder is reached."""
        real = os.path.join(os.path.realpath(file.parent), file.name)  # noqa: PTH118 - a path with any bytes
        return self._folder / f"{hashlib.sha256(os.fsencode(real)).hexdigest()[:32]}.lock"


def claimed(file: Path, claimant: str) -> str:
    """Return that a file is claimed, in words."""
    return f"{file} belongs to a request of {claimant or 'another system'} that has not ended; give another name"


def _owner_in(fd: int) -> str:
    try:
        return str(json.loads(os.pread(fd, 8192, 0))["system"])[:100]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "another system"
