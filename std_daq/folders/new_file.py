"""NewFile: a file that appears under its name in one step, and that nobody can exchange while it is being made.

While the file is being made, its name begins with a dot and ends in ``.partial``. It gets its final name once it can be
read, or could be recovered after a crash.

The partial name has a random part, and the file is made with ``O_EXCL``. So what somebody else has put there, a link to
a file for example, is neither followed nor written. Libraries that take only a path open the file by its descriptor:
``/proc/self/fd/<n>``.
"""

import ctypes
import errno
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Self

from std_daq.folders.open_folder import OpenFolder

_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
_N_RANDOM = 7
_N_ATTEMPTS = 100

MAX_PARTIAL_EXTRA_BYTES = len("..") + _N_RANDOM + len(".partial")
"""How much longer, in bytes, the name of a partial file is than that of the file."""

_RENAME_NOREPLACE = 1  # linux/fs.h
_NOT_THERE = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
_NO_LINKS = frozenset({errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK})

_libc = ctypes.CDLL(None, use_errno=True)


class NewFile:
    """A file that is being made; a context that removes it unless it has got its name.

    Parameters
    ----------
    path
        Path that the file will have.
    folder
        Its folder, if the caller has opened it already; by default it is opened here.
    mode
        Mode of the file, from which the umask is taken.

    Attributes
    ----------
    path
        Path that the file will have.
    folder
        Its folder.
    name
        Its present name in the folder; empty once it has got its final one, or is removed.
    fd
        Descriptor of the file, for reading and writing.

    Raises
    ------
    OSError
        The file cannot be made.
    """

    def __init__(self, path: Path, folder: OpenFolder | None = None, *, mode: int = 0o666) -> None:
        self.path = path
        self._is_own_folder = folder is None
        self.folder = OpenFolder.open(path.parent) if folder is None else folder
        try:
            self.name, self.fd = _make(self.folder, path.name, mode)
        except BaseException:
            self._close_folder()
            raise

    @property
    def opened(self) -> Path:
        """A path at which a library opens this very file, whatever its name is; valid while the context is open."""
        return Path(f"/proc/self/fd/{self.fd}")

    @property
    def partial(self) -> Path:
        """Path of the file in its folder, which ends in ``.partial``; for what has to find files beside it."""
        return self.folder.at(self.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file, and remove it unless it has got its name."""
        if self.name:
            with suppress(OSError):  # the error that kept the file from its name is told
                self.folder.remove(self.name)
            self.name = ""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        self._close_folder()

    def write(self, data: bytes) -> None:
        """Write to the file; raises OSError."""
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self.fd, rest) :]

    def appear(self) -> None:
        """Give the file its name, unless another file has it.

        Raises
        ------
        FileExistsError
            The name is taken; what has it is left unchanged.
        OSError
            The file system refuses the rename.
        """
        at, name = self.folder.fd, self.path.name
        if _libc.renameat2(at, os.fsencode(self.name), at, os.fsencode(name), _RENAME_NOREPLACE):
            number = ctypes.get_errno()
            if number == errno.EEXIST:
                raise _taken(self.path)
            if number not in _NOT_THERE:
                raise OSError(number, os.strerror(number), str(self.path))
            self._link()
        self.name = ""

    def replace(self) -> None:
        """Give the file its name, in the place of what has it: a reader finds either the old or the new file."""
        os.rename(self.name, self.path.name, src_dir_fd=self.folder.fd, dst_dir_fd=self.folder.fd)
        self.name = ""

    def _link(self) -> None:
        at, name = self.folder.fd, self.path.name
        try:
            # For NFS, which has no RENAME_NOREPLACE; this, too, fails if the name is taken.
            os.link(self.name, name, src_dir_fd=at, dst_dir_fd=at, follow_symlinks=False)
        except FileExistsError:
            raise _taken(self.path) from None
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            self._rename_over_own()
        else:
            self.folder.remove(self.name)

    def _rename_over_own(self) -> None:
        """Rename on a file system without links, such as FAT: take the name with an empty file, and replace that."""
        at, name = self.folder.fd, self.path.name
        try:
            os.close(self.folder.make(name))
        except FileExistsError:
            raise _taken(self.path) from None
        try:
            os.rename(self.name, name, src_dir_fd=at, dst_dir_fd=at)
        except OSError:
            self.folder.remove(name)
            raise

    def _close_folder(self) -> None:
        if self._is_own_folder:
            self.folder.close()


def check_is_free(path: Path, folder: OpenFolder | None = None) -> None:
    """Raise FileExistsError if `path`, in this open folder, exists, also if it is a broken symbolic link."""
    if os.path.lexists(path) if folder is None else folder.has(path.name):
        raise _taken(path)


def _make(folder: OpenFolder, name: str, mode: int) -> tuple[str, int]:
    for _ in range(_N_ATTEMPTS):
        random = "".join(secrets.choice(_ALPHABET) for _ in range(_N_RANDOM))
        partial = f".{name}.{random}.partial"
        try:
            return partial, folder.make(partial, mode)
        except FileExistsError:
            continue
    raise FileExistsError(errno.EEXIST, "somebody takes all names of unfinished files", str(folder.path / name))


def _taken(path: Path) -> FileExistsError:
    return FileExistsError(errno.EEXIST, "the file exists, and is never overwritten", str(path))
