"""Files that appear under their final name in one step, and never replace another file.

While a file is being made, its name begins with a dot and ends in ``.partial``. It gets its final name once it can be
read, or could be recovered after a crash.
"""

import ctypes
import errno
import os
from pathlib import Path

# Dots, the largest process id (include/linux/threads.h: 4 million), and the ending.
MAX_PARTIAL_EXTRA_BYTES = len("..4194304.partial")
"""How much longer, in bytes, the name of a partial file may be than that of the file."""

_AT_FDCWD = -100
_RENAME_NOREPLACE = 1  # linux/fs.h
_NOT_THERE = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
_NO_LINKS = frozenset({errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK})

_libc = ctypes.CDLL(None, use_errno=True)


def partial_path(path: Path, process_id: int | None = None) -> Path:
    """Return the name, in the same folder, that a file of a process (this one) has until it appears at `path`."""
    return path.with_name(f".{path.name}.{os.getpid() if process_id is None else process_id}.partial")


def check_is_free(path: Path) -> None:
    """Raise FileExistsError if `path` exists, also if it is a broken symbolic link."""
    if os.path.lexists(path):
        raise _taken(path)


def appear(partial: Path, path: Path) -> None:
    """Rename a partial file to its final name.

    Raises
    ------
    FileExistsError
        `path` exists already; it is left unchanged.
    OSError
        The file system refuses the rename.
    """
    if not _libc.renameat2(_AT_FDCWD, os.fsencode(partial), _AT_FDCWD, os.fsencode(path), _RENAME_NOREPLACE):
        return
    number = ctypes.get_errno()
    if number == errno.EEXIST:
        raise _taken(path)
    if number not in _NOT_THERE:
        raise OSError(number, os.strerror(number), str(path))
    try:
        os.link(partial, path)  # for NFS, which has no RENAME_NOREPLACE; this, too, fails if the name is taken
    except FileExistsError:
        raise _taken(path) from None
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _rename_over_own(partial, path)
    else:
        partial.unlink()


def _rename_over_own(partial: Path, path: Path) -> None:
    """Rename on a file system without links, such as FAT: take the name with an empty file, and replace that."""
    try:
        path.touch(exist_ok=False)
    except FileExistsError:
        raise _taken(path) from None
    try:
        partial.rename(path)
    except OSError:
        path.unlink()
        raise


def _taken(path: Path) -> FileExistsError:
    return FileExistsError(errno.EEXIST, "the file exists, and image files are never overwritten", str(path))
