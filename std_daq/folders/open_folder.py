"""OpenFolder: a folder that stays the same one while files are made in it, whatever becomes of its name.

A path is looked up anew with each use. Whoever may write to a folder on the way can replace it by a link in between,
and lead the next use elsewhere. A descriptor refers to one folder. So the folder is opened once, what it is is checked
on the descriptor, and every file in it is made, opened, renamed and removed relative to the descriptor.
"""

import errno
import os
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_PATH_ONLY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe in the place of a file does not stop the process

_NOT_ALLOWED = frozenset({errno.EACCES, errno.EPERM})
# What the system answers if the last part of a path is a link and must not be one.
_LINK = frozenset({errno.ELOOP, errno.ENOTDIR})


class OpenFolder:
    """An open folder; a context that closes it.

    Parameters
    ----------
    path
        Its path, for messages.
    fd
        Descriptor of the folder, which this object closes.
    """

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self.fd = fd

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a folder wherever its path leads; raises OSError."""
        return cls(path, _open_folder(path))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the folder."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def again(self) -> Self:
        """Return another descriptor of the same folder, for who needs it longer."""
        return type(self)(self.path, os.dup(self.fd))

    def at(self, name: str) -> Path:
        """Return a path of a name in this very folder, for libraries; it is valid while the folder is open."""
        return Path(f"/proc/self/fd/{self.fd}/{name}")

    def has(self, name: str) -> bool:
        """Return whether there is a file of this name, or a link, wherever it leads."""
        try:
            os.stat(name, dir_fd=self.fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def names(self) -> list[str]:
        """Return the names of what is in the folder; none if this user may not list it."""
        try:
            return sorted(os.listdir(self.fd))  # noqa: PTH208 -- of the open folder
        except OSError:
            return []

    def make(self, name: str, mode: int = 0o666, flags: int = 0) -> int:
        """Make a file, and return its descriptor, for reading and writing; raises FileExistsError, also at a link."""
        try:
            return os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | _FILE | flags, mode, dir_fd=self.fd)
        except OSError as error:
            raise self._explained(error, name) from None

    def open_file(self, name: str, flags: int) -> int:
        """Open a file, and return its descriptor; raises OSError if it is anything but a file, such as a link."""
        try:
            fd = os.open(name, flags | _FILE, dir_fd=self.fd)
        except OSError as error:
            raise self._explained(error, name) from None
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise OSError(errno.EINVAL, "this is not a file", str(self.path / name))
        return fd

    def remove(self, name: str) -> None:
        """Remove a file, or a link but not what it leads to, if it is there."""
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self.fd)

    def _explained(self, error: OSError, name: str) -> OSError:
        path = str(self.path / name)
        if error.errno == errno.ELOOP:
            return OSError(errno.ELOOP, "this is a link, and links are not followed here; remove it", path)
        return type(error)(error.errno, error.strerror, path)


def open_beneath(roots: Sequence[Path], folder: Path, *, make: Callable[[str, int], None] | None = None) -> OpenFolder:
    """Open a folder that lies in one of some roots, and make what is missing of it.

    A root may be a link. Links below it are followed as long as they lead into a root. Whoever replaces a folder by a
    link meanwhile only achieves that it cannot be opened: from the root on, each folder is opened in the one before it,
    and no link is followed.

    Parameters
    ----------
    roots
        Folders in which it has to lie; if there are none, it may lie anywhere.
    folder
        Path of the folder.
    make
        Makes a folder, given its name and the descriptor of the folder around it; by default nothing is made.

    Raises
    ------
    PermissionError
        The folder lies in none of the roots.
    OSError
        A folder cannot be opened or made, or somebody has just put a link in its place.
    """
    real = _real(folder)
    start = next((root for root in map(Path, map(os.path.realpath, roots)) if real.is_relative_to(root)), None)
    if start is None and roots:
        allowed = ", ".join(map(str, roots))
        raise PermissionError(
            errno.EACCES, f"this folder leads to {real}, outside the allowed folders: {allowed}", str(folder)
        )
    start = start or Path(real.anchor)
    fd = os.open(start, _PATH_ONLY)
    try:
        done = start
        for name in real.relative_to(start).parts:
            done /= name
            inner = _step(fd, name, done, make)
            os.close(fd)
            fd = inner
        return OpenFolder(folder, _readable(fd))
    finally:
        os.close(fd)


def _real(path: Path) -> Path:
    """Return a path without links; what is missing of it stays as it is."""
    try:
        return Path(os.path.realpath(path))
    except OSError:
        # It is raised only if what was a link is none when it is read.
        what = "somebody has replaced a folder of this path while it was looked up"
        raise PermissionError(errno.EACCES, what, str(path)) from None


def _step(fd: int, name: str, path: Path, make: Callable[[str, int], None] | None) -> int:
    try:
        return os.open(name, _PATH_ONLY | os.O_NOFOLLOW, dir_fd=fd)
    except FileNotFoundError as error:
        if make is None:
            raise _named(error, path) from None
    except OSError as error:
        raise _named(error, path) from None
    try:
        with suppress(FileExistsError):  # another process was here first
            make(name, fd)
        return os.open(name, _PATH_ONLY | os.O_NOFOLLOW, dir_fd=fd)
    except OSError as error:
        raise _named(error, path) from None


def _named(error: OSError, path: Path) -> OSError:
    if error.errno in _LINK and path.is_symlink():
        what = "somebody has replaced this folder by a link, which is not followed"
        return PermissionError(errno.EACCES, what, str(path))
    return type(error)(error.errno, error.strerror, str(path))


def _readable(fd: int) -> int:
    """Return a descriptor of a folder with which it can also be synchronised, if this user may list it."""
    try:
        return os.open(".", _FOLDER, dir_fd=fd)
    except OSError as error:
        if error.errno not in _NOT_ALLOWED:
            raise
        return os.dup(fd)


def _open_folder(path: Path) -> int:
    try:
        return os.open(path, _FOLDER)
    except PermissionError:
        return os.open(path, _PATH_ONLY)
