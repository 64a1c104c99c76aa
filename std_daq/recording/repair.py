"""What the repair of a file needs whatever its format: a lock on it, and the result."""

import fcntl
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from std_daq.errors import FileFormatError
from std_daq.recording.locks import NO_LOCKS

RECOVERED = "writer was killed, recovered"


@dataclass(frozen=True, slots=True)
class Recovery:
    """Result of the repair of a file.

    Attributes
    ----------
    path
        Path of the file.
    n_images
        Number of images, or of events, in the file after the repair.
    actions
        Changes in words; empty if the file needed no repair.
    noun
        What the file holds: ``images`` or ``events``.
    """

    path: Path
    n_images: int
    actions: tuple[str, ...]
    noun: str = "images"


def lock_for_repair(fd: int, path: Path) -> bool:
    """Make sure that no process has the file open; its writer and readers in normal mode hold a lock.

    On a file system without locks, the processes of this machine are asked instead. Return whether there is a lock.
    """
    has_lock = True
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_open = False
    except OSError as error:
        if error.errno in NO_LOCKS:
            has_lock, is_open = False, _is_open_elsewhere(fd)
        elif isinstance(error, BlockingIOError):
            is_open = True
        else:
            raise
    if is_open:
        raise FileFormatError(
            f"{path}: the file is open in another process and perhaps still being written; end this process first"
        )
    return has_lock


def _is_open_elsewhere(fd: int) -> bool:
    """Return whether another process of this machine has the file open, as far as this user may see it."""
    own = os.fstat(fd)
    for process in Path("/proc").glob("[0-9]*"):
        if process.name == str(os.getpid()):
            continue
        with suppress(OSError):  # the process has ended, or belongs to another user
            for link in (process / "fd").iterdir():
                with suppress(OSError):
                    if os.path.samestat(link.stat(), own):
                        return True
    return False
