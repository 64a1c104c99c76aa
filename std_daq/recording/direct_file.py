"""Direct I/O: writing past the page cache, so that data go from memory to the disk without a copy."""

import errno
import os
from pathlib import Path

PAGE_BYTES = 4096
"""Address in memory, offset in the file and length of a direct write are multiples of this size; no disk has larger
logical blocks."""

# Errors of a file system that does not support direct I/O, or not for this write.
_REFUSALS = frozenset({errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS})


class DirectFile:
    """An existing file, opened a second time for writing with ``O_DIRECT``.

    Whole pages are written directly to the disk; the rest of the data, less than a page, goes into the page cache. If
    the file system does not support direct I/O, `write` notices this at the first attempt and returns False from then
    on.

    Parameters
    ----------
    path
        Path of the file.
    fd
        File descriptor of the same file, open for writing through the page cache; it must stay open.
    """

    def __init__(self, path: Path, fd: int) -> None:
        self._cached_fd = fd
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_DIRECT | os.O_CLOEXEC)
        except OSError as error:
            if error.errno not in _REFUSALS:
                raise
            self._fd = -1

    def write(self, offset: int, data: memoryview, address: int) -> bool:
        """Write bytes; return False if they cannot be written directly and must be written through the page cache.

        If the result is False, the file may contain a part of the bytes; the caller writes all of them again.

        Parameters
        ----------
        offset
            Offset in the file.
        data
            Bytes, (n,).
        address
            Address of the first byte in memory.

        Raises
        ------
        OSError
            The write failed.
        """
        if self._fd < 0 or offset % PAGE_BYTES or address % PAGE_BYTES:
            return False
        end = len(data) // PAGE_BYTES * PAGE_BYTES
        done = 0
        try:
            while done < end:
                done += os.pwrite(self._fd, data[done:end], offset + done)
        except OSError as error:
            if error.errno not in _REFUSALS:
                raise
            self.close()
            return False
        while done < len(data):
            done += os.pwrite(self._cached_fd, data[done:], offset + done)
        return True

    def close(self) -> None:
        """Close the file; from now on `write` returns False."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
