"""The writer lock, which limits each part of a ring to one writer: an open-file-description lock on a byte of its file.

Byte ``p`` is the lock of part ``p``. Such a lock belongs to the descriptor that took it, and is released when this
descriptor is closed. The older record locks (``lockf``) belong to the process: they are released when the process
closes any descriptor of the file, for example after it has inspected its own ring. The two kinds exclude each other,
also between processes.
"""

import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

# struct flock of Linux, 64 bit: type, whence, start, length, process id (which must be 0 here).
_FLOCK = struct.Struct("@hhqqi4x")
_ALL_PARTS = 0
_LOCK_LINE = "lock:"


def take_writer_lock(descriptor: int, part: int) -> bool:
    """Try to take the lock of a part through a descriptor open for writing; returns whether it was free."""
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, part, 1, 0))
    except OSError:
        return False
    return True


def is_writer_locked(descriptor: int) -> bool:
    """Return whether any part is locked through another descriptor, in this or another process; takes no lock."""
    asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, _ALL_PARTS, 0)
    kind, *_ = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, asked))
    return bool(kind != fcntl.F_UNLCK)


def writer_processes(path: Path) -> tuple[int, ...]:
    """Return the processes that hold a lock on any part of a file, as this process sees their ids.

    The kernel does not report the process that holds such a lock, but ``/proc`` lists the locks of each descriptor. The
    id is 0 for a holder that this process may not inspect: one of another user, or in another container.
    """
    with path.open("rb") as file:
        if not is_writer_locked(file.fileno()):
            return ()
        return lock_holders(file.fileno()) or (0,)


def lock_holders(descriptor: int) -> tuple[int, ...]:
    """Return the processes that hold any lock on an open file, as far as this process may inspect them."""
    status = os.fstat(descriptor)
    place = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    return tuple(sorted({pid for pid, text in _descriptors_with_locks() if f" {place} " in text}))


def _descriptors_with_locks() -> Iterator[tuple[int, str]]:
    """Yield process id and ``fdinfo`` text of each descriptor that holds a lock."""
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        with suppress(OSError):
            for descriptor in (process / "fdinfo").iterdir():
                with suppress(OSError):
                    text = descriptor.read_text()
                    if _LOCK_LINE in text:
                        yield int(process.name), text
