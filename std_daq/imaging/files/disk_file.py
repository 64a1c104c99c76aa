"""An image file as the file system sees it: space ahead of its end, its way to the disk, and who has it open.

HDF5 writes a file; what is done here beside it changes no byte and no length.

- *Space ahead*: blocks that are set aside by the 64 MB take a quarter off the time of a write into the page cache,
  where they would otherwise be found page by page. What is left over is given back when the file is closed.
- *Direct*: pixels can be handed to the disk past the page cache.
- *Write back*: pages that are handed to the disk while the file grows are not waited for at its end.

A file system that has none of it goes without.
"""

import ctypes
import errno
import fcntl
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from threading import Thread

from std_daq.imaging.files.direct_file import DirectFile

_RESERVED_BYTES = 64 * 1024 * 1024
_HANDED_BYTES = 8 * 1024 * 1024  # as many at least; fewer are soon written at the end
_SYNC_BYTES = 256 * 1024 * 1024

# linux/falloc.h and linux/fs.h
_FALLOC_FL_KEEP_SIZE = 1
_SYNC_FILE_RANGE_WRITE = 2
_SYNC_FILE_RANGE_ALL = 7  # wait for what is on its way, write, wait for it

_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
_libc.sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)

# What a file system or a system says that has no sync_file_range.
_NOT_THERE = frozenset({errno.ENOSYS, errno.EINVAL, errno.ESPIPE, errno.EOPNOTSUPP})


class DiskFile:
    """One file that grows; used from one thread.

    As long as it is open a lock tells `recover` that the writer is alive: HDF5 itself keeps none on a file that others
    may follow.

    Parameters
    ----------
    path
        The file, which exists.
    """

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._lock()
        self._direct = DirectFile(path, self._fd)
        self._reserved_end = 0
        self._can_reserve = True
        self._handed_end = 0
        self._spans: SimpleQueue[tuple[int, int] | None] = SimpleQueue()
        self._thread: Thread | None = None

    @property
    def n_bytes(self) -> int:
        """Length of the file."""
        return os.fstat(self._fd).st_size

    def reserve(self, end: int) -> None:
        """Have space set aside up to `end` and beyond, as far as there is any; nothing is told where there is not."""
        if end <= self._reserved_end or not self._can_reserve:
            return
        n_bytes = max(end - self._reserved_end, _RESERVED_BYTES)
        if not _libc.fallocate(self._fd, _FALLOC_FL_KEEP_SIZE, self._reserved_end, n_bytes):
            self._reserved_end += n_bytes
        elif ctypes.get_errno() != errno.EINTR:
            self._can_reserve = False  # what does not fit is told by the write that needs it

    def write_direct(self, offset: int, data: memoryview, address: int) -> bool:
        """Write past the page cache; see `DirectFile.write`."""
        return self._direct.write(offset, data, address)

    def cut(self, n_bytes: int) -> None:
        """Cut the file to this length, and give back the space behind it."""
        os.ftruncate(self._fd, n_bytes)
        self._reserved_end = min(self._reserved_end, n_bytes)

    def begin_write_back(self) -> None:
        """Have what was written since the last time taken to the disk; does not wait for it."""
        end = self.n_bytes
        if end - self._handed_end < _HANDED_BYTES:
            return
        if self._thread is None:
            # A disk that is behind makes the call wait, so it is not made here.
            self._thread = Thread(
                target=_write_back, args=(os.dup(self._fd), self._spans), name="write-back", daemon=True
            )
            self._thread.start()
        self._spans.put((self._handed_end, end - self._handed_end))
        self._handed_end = end

    def close(self) -> None:
        """Give back the space behind the end, and let go of the file; its way to the disk goes on."""
        with suppress(OSError):  # where even this fails, what has failed before is told
            if self._reserved_end:
                self.cut(self.n_bytes)
            fcntl.flock(self._fd, fcntl.LOCK_UN)  # the thread still has the file, and the lock would stay with it
        self._direct.close()
        os.close(self._fd)
        self._spans.put(None)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EWOULDBLOCK}:
                raise


def sync_file(path: Path, after_each: Callable[[], None]) -> None:
    """Wait until a file that was written and closed, and its name, are on the disk.

    Parameters
    ----------
    path
        The file.
    after_each
        Called now and then: a slow disk is not a dead one.

    Raises
    ------
    OSError
        The disk did not take all of it.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            for first in range(0, os.fstat(fd).st_size, _SYNC_BYTES):
                _sync_range(fd, first, _SYNC_BYTES)
                after_each()
            os.fsync(fd)
        finally:
            os.close(fd)
        sync_folder(path.parent)
    except OSError as error:
        raise OSError(error.errno, f"cannot write the file to the disk: {error.strerror}", str(path)) from error


def _sync_range(fd: int, first: int, n_bytes: int) -> None:
    if _libc.sync_file_range(fd, first, n_bytes, _SYNC_FILE_RANGE_ALL):
        number = ctypes.get_errno()
        if number not in _NOT_THERE:
            raise OSError(number, os.strerror(number))


def sync_folder(folder: Path) -> None:
    """Wait until the names of a folder's files are on the disk; a folder that may not be listed is passed over."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:
        return
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _write_back(fd: int, spans: "SimpleQueue[tuple[int, int] | None]") -> None:
    try:
        while (span := spans.get()) is not None:
            # Begins only: what fails is told by the calls that wait for it.
            _libc.sync_file_range(fd, *span, _SYNC_FILE_RANGE_WRITE)
    finally:
        os.close(fd)
