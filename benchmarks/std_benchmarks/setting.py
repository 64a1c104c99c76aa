"""Setting: what a benchmark is given to work with."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

REPEATS = 5


def _usable_cores() -> tuple[int, ...]:
    return tuple(sorted(os.sched_getaffinity(0)))


@dataclass(frozen=True, slots=True)
class Setting:
    """What a benchmark is given to work with.

    Parameters
    ----------
    folder
        Empty folder on the disk that is to be measured.
    shm
        Empty folder in shared memory.
    repeats
        Turns that count.
    cores
        CPUs that may be used.
    progress
        Told what is being measured.
    """

    folder: Path
    shm: Path
    repeats: int = REPEATS
    cores: tuple[int, ...] = field(default_factory=_usable_cores)
    progress: Callable[[str], None] = lambda _: None


@contextmanager
def temporary_setting(
    folder: Path, shm: Path = Path("/dev/shm"), *, repeats: int, progress: Callable[[str], None]
) -> Iterator[Setting]:
    """Make the folders of a benchmark below others; they are removed at the end."""
    with (
        tempfile.TemporaryDirectory(prefix="sdb-", dir=folder) as on_disk,
        tempfile.TemporaryDirectory(prefix="sdb-", dir=shm) as in_memory,
    ):
        yield Setting(Path(on_disk), Path(in_memory), repeats=repeats, progress=progress)
