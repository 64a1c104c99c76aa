"""A file of a run at the level of the file system: allocation ahead of its end, direct I/O, write-back, and a lock.

HDF5 writes the file. The measures here change neither its contents nor its length:

- *Allocation ahead*: space behind the end is allocated in steps of 64 MB. A write into the page cache then takes a
  quarter less time, because the file system need not allocate blocks page by page. When the disk is full, an image or
  event is refused as long as there is still space for the end of the run. Unused space is released when the file is
  closed.
- *Direct I/O*: data can be written to the disk past the page cache.
- *Early write-back*: written pages are sent to the disk while the file grows, so that nobody has to wait for them at
  its end.

On a file system that does not support one of these, the file is written without it.
"""

import ctypes
import errno
import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from threading import Thread

from std_daq.folders.open_folder import OpenFolder
from std_daq.recording.direct_file import DirectFile
from std_daq.recording.locks import NO_LOCKS

_RESERVED_BYTES = 64 * 1024 * 1024
_HANDED_BYTES = 8 * 1024 * 1024  # smallest amount to write back early; less than this is soon written at the end
_BLOCK_BYTES = 4096
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
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})

REMOVED = "removed"


class DiskFile:
    """A growing file; used from one thread only.

    While the file is open, a lock on it tells `recover` that the writer is alive. The lock is needed because HDF5 keeps
    none on a file in SWMR mode.

    Parameters
    ----------
    path
        Path of the file, which must exist.
    end_bytes
        Space that the file still needs when no image or event fits any more.

    Attributes
    ----------
    has_lock
        Whether the file is locked; False on a file system that has no locks.
    """

    def __init__(self, path: Path, end_bytes: int = 0) -> None:
        self._end_bytes = end_bytes
        self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self.has_lock = self._lock()
        self._direct = DirectFile(path, self._fd)
        self._reserved_end = 0
        self._step_bytes = _RESERVED_BYTES
        self._can_reserve = True
        self._handed_end = 0
        self._spans: SimpleQueue[tuple[int, int] | None] = SimpleQueue()
        self._thread: Thread | None = None

    @property
    def n_bytes(self) -> int:
        """Length of the file."""
        return os.fstat(self._fd).st_size

    def reserve(self, end: int) -> None:
        """Allocate space up to `end` and beyond, with room for the end of the run.

        Raises
        ------
        OSError
            The disk or the quota has no room.
        """
        end += self._end_bytes
        if end <= self._reserved_end or not self._can_reserve:
            return
        number = self._allocate(max(end - self._reserved_end, self._step_bytes))
        if number in _FULL and self._step_bytes:
            self._step_bytes = 0  # from now on only what an image needs
            number = self._allocate(end - self._reserved_end)
        if number in _FULL:
            raise OSError(number, os.strerror(number))

    def hold(self, n_bytes: int) -> bool:
        """Allocate so many bytes behind the end; return whether the disk has room for them, as far as it says so."""
        missing = self.n_bytes + n_bytes - self._reserved_end
        return missing <= 0 or self._allocate(missing) not in _FULL

    def _allocate(self, n_bytes: int) -> int:
        """Allocate so many bytes more; return 0 or the number of the error."""
        number = _allocate(self._fd, self._reserved_end, n_bytes)
        if number == 0:
            self._reserved_end += n_bytes
        elif number in _FULL:
            self._give_back()
        elif number != errno.EINTR:
            self._can_reserve = False  # the write that needs the space reports what is wrong
        return number

    def _give_back(self) -> None:
        """Give back what a failed allocation took, which ext4 keeps, but not what was allocated before."""
        end = self.n_bytes
        os.ftruncate(self._fd, end)
        if self._reserved_end > end:
            _allocate(self._fd, end, self._reserved_end - end)

    def find_change(self, path: Path) -> str:
        """Return what somebody has done to the file that was at `path`: removed or moved it; empty if it is there."""
        own = os.fstat(self._fd)
        try:
            there = path.stat()
        except OSError as error:
            if error.errno not in {errno.ENOENT, errno.ENOTDIR}:
                return ""  # not known, for example because this user may not enter the folder
        else:
            # Some file systems give a file changing numbers, so another number alone means nothing.
            return "" if own.st_nlink or os.path.samestat(there, own) else REMOVED
        now = Path(f"/proc/self/fd/{self._fd}").readlink()
        # NFS gives a removed file that is open such a name until it is closed.
        return f"moved to {now}" if own.st_nlink and not now.name.startswith(".nfs") else REMOVED

    def write_direct(self, offset: int, data: memoryview, address: int) -> bool:
        """Write bytes past the page cache; see `DirectFile.write`."""
        return self._direct.write(offset, data, address)

    def overwrite(self, places: Sequence[tuple[int, bytes]]) -> None:
        """Write bytes at offsets that are in the file already, so that they need no space."""
        for offset, data in places:
            os.pwrite(self._fd, data, offset)

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

    def _lock(self) -> bool:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in NO_LOCKS | {errno.EWOULDBLOCK}:
                raise
            return error.errno == errno.EWOULDBLOCK
        return True


def try_write(fd: int) -> None:
    """Write a little into a new file; raises the OSError of the system if it takes no data."""
    os.pwrite(fd, bytes(_BLOCK_BYTES), 0)


@contextmanager
def room_behind(path: Path, n_bytes: int) -> Iterator[None]:
    """Hold space behind the end of a closed file while the context is open; what is not used is released.

    Raises
    ------
    OSError
        The disk has no room; the file is unchanged.
    """
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        end = os.fstat(fd).st_size
        number = _allocate(fd, end, n_bytes)
        if number in _FULL:
            os.ftruncate(fd, end)  # gives back what ext4 could allocate
            raise OSError(number, os.strerror(number), str(path))
        if number:
            _try_room(fd, end, n_bytes)
        try:
            yield
        finally:
            os.ftruncate(fd, os.fstat(fd).st_size)
    finally:
        os.close(fd)


def _try_room(fd: int, end: int, n_bytes: int) -> None:
    """Write and remove so many bytes behind the end, on a file system that cannot allocate without writing."""
    try:
        os.pwrite(fd, bytes(n_bytes), end)
        os.fsync(fd)  # NFS tells only now that the disk is full
    finally:
        os.ftruncate(fd, end)


def _allocate(fd: int, first: int, n_bytes: int) -> int:
    """Allocate space without changing the length of the file; return 0 or the number of the error."""
    return ctypes.get_errno() if _libc.fallocate(fd, _FALLOC_FL_KEEP_SIZE, first, n_bytes) else 0


def sync_file(path: Path, after_each: Callable[[], None], folder: OpenFolder | None = None) -> None:
    """Wait until the contents and the name of a closed file are on the disk.

    Parameters
    ----------
    path
        Path of the file.
    after_each
        Called after each 256 MB, so that the caller can show that it is alive while a slow disk writes.
    folder
        Folder of the file, if the caller has opened it.

    Raises
    ------
    OSError
        Not all of the file could be written to the disk.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC) if folder is None else folder.open_file(path.name, os.O_RDWR)
        try:
            for first in range(0, os.fstat(fd).st_size, _SYNC_BYTES):
                _sync_range(fd, first, _SYNC_BYTES)
                after_each()
            os.fsync(fd)
        finally:
            os.close(fd)
        sync_folder(path.parent if folder is None else folder.at("."))
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
