"""Lists the rings in a directory with the processes that use them, and removes rings."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from std_daq.errors import SharedMemoryError
from std_daq.folders.open_folder import OpenFolder
from std_daq.shm.ring_lock import LOCK_NAME, ring_lock
from std_daq.shm.segment import UNFINISHED_NAME, Segment, SegmentInfo, SegmentState, list_segments, remove_unfinished
from std_daq.shm.writer_lock import writer_processes


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
    def state(self) -> str:
        """``live`` while a service writes it; ``left`` by a service that has ended; ``retired`` if it was replaced."""
        if self.info.state is SegmentState.LIVE:
            return "live" if self.writers else "left"
        return self.info.state.name.lower()

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
    rings = []
    for info in found:
        with suppress(FileNotFoundError):  # another process has removed it meanwhile
            rings.append(RingUse(info, writer_processes(info.path), tuple(sorted(users[info.path]))))
    return rings


def remove_ring(path: Path) -> None:
    """Retire a ring, which tells its readers that it has ended, and remove its file; raises SharedMemoryError."""
    segment = Segment.attach(path, is_writable=True, is_of_anybody=True)
    try:
        segment.remove()
    except OSError as error:
        raise SharedMemoryError(f"{path}: cannot be removed: {error.strerror}") from None
    finally:
        segment.close()


def remove_leftovers(directory: Path) -> list[Path]:
    """Remove what owners left that were killed while they created or took over a ring; returns the removed files.

    What belongs to a ring that another process is creating at this moment stays.
    """
    removed: list[Path] = []
    with OpenFolder.open(directory) as folder:
        found = [UNFINISHED_NAME.fullmatch(name) or LOCK_NAME.fullmatch(name) for name in folder.names()]
        for ring in sorted({match["ring"] for match in found if match}):
            with suppress(SharedMemoryError), ring_lock(folder, ring, wait_s=0):
                removed += remove_unfinished(folder, ring)
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
