"""Lists the rings in a directory with the processes that use them, and removes rings."""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from std_daq.errors import SharedMemoryError
from std_daq.shm.segment import Segment, SegmentInfo, list_segments
from std_daq.shm.writer_lock import writer_processes

_UNFINISHED = re.compile(r"\..+\.\d+\.making")


@dataclass(frozen=True, slots=True)
class RingUse:
    """A ring and its users.

    Parameters
    ----------
    info
        The header of the ring.
    writers
        Ids of the processes that hold a writer lock, as seen by this process; 0 for a process that it may not inspect.
    users
        Ids of the processes that have mapped the ring; processes that this user may not inspect are missing.
    """

    info: SegmentInfo
    writers: tuple[int, ...]
    users: tuple[int, ...]

    @property
    def is_used(self) -> bool:
        """Whether any process writes or reads the ring."""
        return bool(self.writers or self.users)


def inspect_rings(directory: Path) -> list[RingUse]:
    """Return the rings of a directory with their users.

    Raises
    ------
    SharedMemoryError
        The directory cannot be read.
    """
    try:
        found = list_segments(directory)
    except OSError as error:
        raise SharedMemoryError(f"{directory}: cannot be read: {error.strerror}") from None
    users: dict[Path, set[int]] = {info.path: set() for info in found}
    for pid, path in _mapped_files():
        if path in users:
            users[path].add(pid)
    return [RingUse(info, writer_processes(info.path), tuple(sorted(users[info.path]))) for info in found]


def remove_ring(path: Path) -> None:
    """Retire a ring, which tells its readers that it has ended, and remove its file; raises SharedMemoryError."""
    segment = Segment.attach(path, is_writable=True)
    try:
        segment.remove()
    except OSError as error:
        raise SharedMemoryError(f"{path}: cannot be removed: {error.strerror}") from None
    finally:
        segment.close()


def remove_unfinished(directory: Path) -> list[Path]:
    """Remove the files of owners that were killed while they created a ring; returns the removed files."""
    removed = []
    # An owner holds this lock until the new ring has its final name. Under the lock, an unfinished file has no owner.
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        for path in sorted(directory.iterdir()):
            if _UNFINISHED.fullmatch(path.name):
                with suppress(OSError):
                    path.unlink()
                    removed.append(path)
    finally:
        os.close(descriptor)
    return removed


def _mapped_files() -> Iterator[tuple[int, Path]]:
    """Yield process id and path of each mapped file; processes that this user may not inspect are skipped."""
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        with suppress(OSError):
            for line in (process / "maps").read_text(errors="replace").splitlines():
                fields = line.split(maxsplit=5)
                if len(fields) == 6:
                    yield int(process.name), Path(fields[5])
