"""An image file at the level of the file system: allocation ahead of its end, direct I/O, write-back, and a lock.

HDF5 writes the file. The measures here change neither its contents nor its length:

- *Allocation ahead*: space behind the end is allocated in steps of 64 MB. A write into the page cache then takes a
  quarter less time, because the file system need not allocate blocks page by page. Unused space is released when the
  file is closed.
- *Direct I/O*: pixels can be written to the disk past the page cache.
- *Early write-back*: written pages are sent to the disk while the file grows, so that nobody has to wait for them at
  its end.

On a file system that does not support one of these, the file is written without it.
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
_HANDED_BYTES = 8 * 1024 * 1024  # smallest amount to write back early; less than this is soon written at the end
_SYNC_BYTES = 256 * 1024 * 1024

# linux/falloc.h and linux/fs.h
_FALLOC_FL_KEEP_SIZE = 1
_SYNC_FILE_RANGE_WRITE = 2
_SYNC_FILE_RANGE_ALL = 7  # WAIT_BEFORE | WRITE | WAIT_AFTER

_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
_libc.sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)

# Errors of a system or file system without sync_file_range.
_NOT_THERE = frozenset({errno.ENOSYS, errno.EINVAL, errno.ESPIPE, errno.EOPNOTSUPP})


class DiskFile:
    """A growing file; used from one thread only.

    While the file is open, a lock on it tells `recover` that the writer is alive. The lock is needed because HDF5 keeps
    none on a file in SWMR mode.

    Parameters
    ----------
    path
        Path of the file, which must exist.
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
        """Allocate space up to `end` and beyond; if the disk is full, do nothing."""
        if end <= self._reserved_end or not self._can_reserve:
            return
        n_bytes = max(end - self._reserved_end, _RESERVED_BYTES)
        if not _libc.fallocate(self._fd, _FALLOC_FL_KEEP_SIZE, self._reserved_end, n_bytes):
            self._reserved_end += n_bytes
        elif ctypes.get_errno() != errno.EINTR:
            self._can_reserve = False  # if the disk is full, the write that needs the space reports it

    def write_direct(self, offset: int, data: memoryview, address: int) -> bool:
        """Write bytes past the page cache; see `DirectFile.write`."""
        return self._direct.write(offset, data, address)

    def cut(self, n_bytes: int) -> None:
        """Truncate the file to this length, and release the space behind it."""
        os.ftruncate(self._fd, n_bytes)
        self._reserved_end = min(self._reserved_end, n_bytes)

    def begin_write_back(self) -> None:
        """Start to write back what was written since the last call; return without waiting for the disk."""
        end = self.n_bytes
        if end - self._handed_end < _HANDED_BYTES:
            return
        if self._thread is None:
            # sync_file_range blocks while the disk is behind; therefore a thread of its own calls it.
            self._thread = Thread(
                target=_write_back, args=(os.dup(self._fd), self._spans), name="write-back", daemon=True
            )
            self._thread.start()
        self._spans.put((self._handed_end, end - self._handed_end))
        self._handed_end = end

    def close(self) -> None:
        """Release the space behind the end, and close the file; the write-back continues."""
        with suppress(OSError):  # if even this fails, an earlier write has already failed and was reported
            if self._reserved_end:
                self.cut(self.n_bytes)
            fcntl.flock(self._fd, fcntl.LOCK_UN)  # closing does not: the write-back thread has a duplicate of the fd
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
    """Wait until the contents and the name of a closed file are on the disk.

    Parameters
    ----------
    path
        Path of the file.
    after_each
        Called after each 256 MB, so that the caller can show that it is alive while a slow disk writes.

    Raises
    ------
    OSError
        Not all of the file could be written to the disk.
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
    """Wait until the names of a folder's files are on the disk; do nothing if the folder may not be listed."""
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
            # This only starts the write-back; a failure is reported by the calls that wait for it.
            _libc.sync_file_range(fd, *span, _SYNC_FILE_RANGE_WRITE)
    finally:
        os.close(fd)
