"""SystemRings: the rings of a system, for a command that runs its services and removes the rings at its end.

Two systems of one name may have different runtime directories, and so do not see each other there. They share the
rings. So the rings have a lock beside them, and who finds a writer in one of them does not begin.
"""

import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Self

from std_daq.errors import ResourceError, SharedMemoryError
from std_daq.folders.open_folder import OpenFolder
from std_daq.shm.ring_lock import ring_lock
from std_daq.shm.segment import Segment
from std_daq.shm.writer_lock import writer_processes

if TYPE_CHECKING:
    from std_daq.config.platform import PlatformConfig

# The services of a command that was killed end with it, a moment later.
WAIT_S = 3.0
_POLL_S = 0.05


class SystemRings:
    """The rings, which belong to this command from `__enter__` to `__exit__`.

    Parameters
    ----------
    config
        Configuration of the system.
    keep
        Whether the rings stay at the end.
    wait_s
        How long to wait for writers that are ending, in seconds.

    Raises
    ------
    ResourceError
        The rings are in use by another command, or by services that something else has started.
    """

    def __init__(self, config: "PlatformConfig", *, keep: bool = False, wait_s: float = WAIT_S) -> None:
        self._name = config.name
        self._paths = config.ring_paths
        self._keep = keep
        self._wait_s = wait_s
        self._locks = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for directory in sorted({path.parent for path in self._paths}):
                self._lock(directory, stack)
            self._check_unused()
            self._locks = stack.pop_all()
        return self

    def _lock(self, directory: Path, stack: ExitStack) -> None:
        try:
            folder = stack.enter_context(OpenFolder.open(directory))
            stack.enter_context(ring_lock(folder, f"{self._name}.up", wait_s=self._wait_s))
        except (OSError, SharedMemoryError) as error:
            raise ResourceError(
                f"the rings of {self._name} cannot be used, and nothing was changed: {error}. It may be a 'std-daq up' "
                "with another runtime directory: end it first, or give this system another name"
            ) from None

    def _check_unused(self) -> None:
        deadline = time.monotonic() + self._wait_s
        while (used := self._used()) is not None and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        if used is None:
            return
        path, writers = used
        known = ", ".join(str(pid) for pid in writers if pid)
        who = f"process {known}" if known else "a process of another user or container"
        raise ResourceError(
            f"the services of {self._name} already run: {who} writes to {path}; end them first (std-daq shm list shows "
            "who uses the rings), or give this system another name. Nothing was changed"
        )

    def _used(self) -> tuple[Path, tuple[int, ...]] | None:
        for path in self._paths:
            try:
                writers = writer_processes(path)
            except OSError:
                continue  # there is none, or the services tell what is wrong with it
            if writers:
                return path, writers
        return None

    def __exit__(self, *_: object) -> None:
        with self._locks:
            if not self._keep:
                for path in self._paths:
                    _remove(path)


def _remove(path: Path) -> None:
    """Remove a ring that nobody writes any more; what is written is not ours, or its service has not ended."""
    try:
        segment = Segment.attach(path, is_writable=True)
    except SharedMemoryError:
        return
    if not segment.has_writer:
        segment.remove()
    segment.close()
