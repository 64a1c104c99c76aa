"""The lock by which a ring has one writer for each part: an open-file-description lock on one byte of its file.

Part ``p`` is byte ``p``. Such a lock belongs to the descriptor that took it, so it goes when that is closed and not
when some other descriptor of the same file is. The older record locks (``lockf``) belong to the process: there the end
of a second look at the ring takes away the lock of its writer. Either kind excludes the other, also between processes.
"""

import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

# struct flock of Linux, 64 bit: type, whence, start, length, process id (which has to be 0 here).
_FLOCK = struct.Struct("@hhqqi4x")
_ALL_PARTS = 0
_LOCK_LINE = "lock:"


def take_writer_lock(descriptor: int, part: int) -> bool:
    """Take the lock of a part through a descriptor open for writing; returns whether it could be had."""
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, part, 1, 0))
    except OSError:
        return False
    return True


def is_writer_locked(descriptor: int) -> bool:
    """Return whether any part is locked through another descriptor, of this process or another; takes no lock."""
    asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, _ALL_PARTS, 0)
    kind, *_ = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, asked))
    return bool(kind != fcntl.F_UNLCK)


def writer_processes(path: Path) -> tuple[int, ...]:
    """Return the processes that hold a lock on any part of a file, as this process sees their ids.

    The kernel does not tell the holder of such a lock by its id, but each process tells the locks of its descriptors.
    A holder that may not be looked into (another user's, or one of another container) is 0.
    """
    with path.open("rb") as file:
        if not is_writer_locked(file.fileno()):
            return ()
        status = os.fstat(file.fileno())
    place = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    holders = {pid for pid, text in _descriptors_with_locks() if f" {place} " in text}
    return tuple(sorted(holders)) or (0,)


def _descriptors_with_locks() -> Iterator[tuple[int, str]]:
    """Yield process id and the kernel's text on each descriptor through which a lock is held."""
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        with suppress(OSError):
            for descriptor in (process / "fdinfo").iterdir():
                with suppress(OSError):
                    text = descriptor.read_text()
                    if _LOCK_LINE in text:
                        yield int(process.name), text
