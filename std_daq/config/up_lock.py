"""UpLock: the lock of ``std-daq up``, by which others know whether it runs for a system, and whether all is ready.

The kernel releases the lock when the process ends, however it ends. What ``std-daq up`` has left in the runtime
directory counts only while the lock is held: a broker's URL that a killed ``std-daq up`` has left is nobody's.
"""

from pathlib import Path
from typing import Self

from std_daq.config.paths import check_runtime_dir, make_runtime_dir, runtime_dir
from std_daq.config.platform import PlatformConfig
from std_daq.errors import ResourceError
from std_daq.folders.held_lock import HeldLock, Holder, holder_of

_NAME = "up.lock"
_WAIT_S = 0.4


class UpLock:
    """The lock, held from `__enter__` to `__exit__`.

    Parameters
    ----------
    config
        Configuration of the system.

    Raises
    ------
    ResourceError
        Another ``std-daq up`` holds it; the message says which.
    ConfigError
        The runtime directory cannot be used.
    """

    def __init__(self, config: PlatformConfig) -> None:
        self._name = config.name
        self._path = make_runtime_dir(config) / _NAME
        self._lock: HeldLock | None = None

    def __enter__(self) -> Self:
        lock = HeldLock(self._path)
        if not lock.take(_WAIT_S):
            other = lock.holder()
            lock.release()
            who = "" if other is None else f" ({other})"
            raise ResourceError(f"another 'std-daq up' already runs the services of {self._name}{who}; end it first")
        self._lock = lock
        return self

    def note_ready(self) -> None:
        """Tell others that all services are ready."""
        if self._lock is not None:
            self._lock.write(is_ready=True)

    def __exit__(self, *exception: object) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None


def running_up(config: PlatformConfig) -> Holder | None:
    """Return the ``std-daq up`` that runs for a system; None if there is none.

    Raises
    ------
    ConfigError
        The runtime directory is another user's.
    """
    check_runtime_dir(config)
    path: Path = runtime_dir(config) / _NAME
    return holder_of(path)
