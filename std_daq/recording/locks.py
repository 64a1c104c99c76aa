"""Locks on files, and file systems that have none, such as NFS without its lock service."""

import errno
import fcntl
import tempfile
from pathlib import Path

NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP})
"""Errors of a file system that has no locks."""


def can_lock(fd: int) -> bool:
    """Return whether the file system of an open file has locks; a lock that another process holds is one."""
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError as error:
        if error.errno in NO_LOCKS:
            return False
        raise
    fcntl.flock(fd, fcntl.LOCK_UN)
    return True


def has_locks(folder: Path) -> bool:
    """Return whether files in this folder can be locked.

    Raises
    ------
    OSError
        No file can be made in the folder.
    """
    with tempfile.TemporaryFile(dir=folder) as file:
        return can_lock(file.fileno())
