"""Writing past the page cache: memory goes to the disk as it lies, without a copy and without a page of the cache."""

import errno
import os
from pathlib import Path

PAGE_BYTES = 4096
"""What memory, place in the file and length are a multiple of: no logical block of a disk is larger."""

# What a file system says that cannot write past the page cache, or not this.
_REFUSALS = frozenset({errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS})


class DirectFile:
    """A file that exists, opened a second time for writing with ``O_DIRECT``.

    Whole pages go to the disk; the rest behind the last of them goes into the page cache. A file system that cannot do
    so is found out, and refuses from then on.

    Parameters
    ----------
    path
        The file.
    fd
        The file, open for writing through the page cache; has to stay open.
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
        """Write bytes; returns False, and has written nothing that counts, where they have to take the other way.

        Parameters
        ----------
        offset
            Where in the file.
        data
            Bytes, (n,).
        address
            Of the first of them in memory.

        Raises
        ------
        OSError
            The disk did not take them.
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
        """Let go of the file; nothing is written past the page cache any more."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
