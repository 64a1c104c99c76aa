"""Files that appear under their name at once, never in place of another.

Until it can be read, or be recovered after a crash, a file has a name that begins with a dot and ends in ``.partial``.
"""

import ctypes
import errno
import os
from pathlib import Path

_AT_FDCWD = -100
_RENAME_NOREPLACE = 1  # linux/fs.h
_NOT_THERE = frozenset({errno.EINVAL, errno.ENOSYS})

_libc = ctypes.CDLL(None, use_errno=True)


def partial_path(path: Path) -> Path:
    """Return the name that a file has until it can appear at `path`, in the same folder."""
    return path.with_name(f".{path.name}.{os.getpid()}.partial")


def check_is_free(path: Path) -> None:
    """Raise FileExistsError if there is something at `path`, even a link that leads nowhere."""
    if os.path.lexists(path):
        raise _taken(path)


def appear(partial: Path, path: Path) -> None:
    """Give a file its name.

    Raises
    ------
    FileExistsError
        There is something at `path` already; it is left as it is.
    OSError
        The file system does not let it.
    """
    if not _libc.renameat2(_AT_FDCWD, os.fsencode(partial), _AT_FDCWD, os.fsencode(path), _RENAME_NOREPLACE):
        return
    number = ctypes.get_errno()
    if number == errno.EEXIST:
        raise _taken(path)
    if number not in _NOT_THERE:
        raise OSError(number, os.strerror(number), str(path))
    try:
        os.link(partial, path)  # such as on NFS; fails as well if the name is taken
    except FileExistsError:
        raise _taken(path) from None
    partial.unlink()


def _taken(path: Path) -> FileExistsError:
    return FileExistsError(errno.EEXIST, "the file exists, and image files are never overwritten", str(path))
