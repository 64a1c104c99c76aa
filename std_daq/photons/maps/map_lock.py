"""A lock for as long as a map is written: one process at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from std_daq.errors import ResourceError
from std_daq.recording.locks import NO_LOCKS


@contextmanager
def map_lock(path: Path) -> Iterator[None]:
    """Hold the lock of a map; readers need none.

    It is on a file of its own beside the map, because a new map takes its name when it is whole.

    Raises
    ------
    ResourceError
        Another process writes this map.
    """
    lock = path.with_name(f".{path.name}.lock")
    while True:
        fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        try:
            _take(fd, path)
            # Whoever held the lock before removed the file at its end.
            if lock.exists() and os.path.samestat(os.fstat(fd), lock.stat()):
                break
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(fd)


def _take(fd: int, path: Path) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ResourceError(f"{path}: another process writes this map; wait for its end, or end it") from None
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
