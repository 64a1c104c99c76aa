"""UpLock: the lock of ``std-daq up``, by which others know whether it runs for a system, and whether all is ready.

The kernel releases the lock when the process ends, however it ends. What ``std-daq up`` has left in the runtime
directory counts only while the lock is held: a broker's URL that a killed ``std-daq up`` has left is nobody's.
"""

import fcntl
import json
import os
import socket
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Self

from std_daq.config.paths import check_runtime_dir, make_runtime_dir, runtime_dir
from std_daq.config.platform import PlatformConfig
from std_daq.errors import ResourceError

_NAME = "up.lock"
# Whoever looks whether the lock is held holds it for a moment.
_TRIES, _PAUSE_S = 20, 0.02


@dataclass(frozen=True, slots=True)
class UpProcess:
    """The ``std-daq up`` that runs for a system.

    Attributes
    ----------
    pid, host
        The process, and the machine or container in which it runs.
    is_ready
        Whether all services are ready.
    """

    pid: int
    host: str
    is_ready: bool

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


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
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        file = os.fdopen(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o660), "r+b")
        if not _take(file):
            other = _read(file)
            file.close()
            who = "" if other is None else f" ({other})"
            raise ResourceError(f"another 'std-daq up' already runs the services of {self._name}{who}; end it first")
        self._file = file
        _write(file, is_ready=False)
        return self

    def note_ready(self) -> None:
        """Tell others that all services are ready."""
        if self._file is not None:
            _write(self._file, is_ready=True)

    def __exit__(self, *exception: object) -> None:
        if self._file is not None:
            self._file.close()


def running_up(config: PlatformConfig) -> UpProcess | None:
    """Return the ``std-daq up`` that runs for a system; None if there is none.

    Raises
    ------
    ConfigError
        The runtime directory is another user's.
    """
    check_runtime_dir(config)
    return _look(runtime_dir(config) / _NAME)


def _look(path: Path) -> UpProcess | None:
    try:
        file = path.open("rb")
    except OSError:
        return None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return _read(file) or UpProcess(0, "this machine", is_ready=False)
    return None


def _take(file: IO[bytes]) -> bool:
    for _ in range(_TRIES):
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(_PAUSE_S)
    return False


def _write(file: IO[bytes], *, is_ready: bool) -> None:
    file.seek(0)
    file.write(json.dumps(asdict(UpProcess(os.getpid(), socket.gethostname(), is_ready))).encode())
    file.truncate()
    file.flush()


def _read(file: IO[bytes]) -> UpProcess | None:
    """Return what the holder of the lock has written; None while it is writing."""
    file.seek(0)
    try:
        return UpProcess(**json.loads(file.read()))
    except (ValueError, TypeError, RecursionError):
        return None
