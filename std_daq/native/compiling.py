"""A lock for each function: one process compiles it, while others wait and then load it from the cache.

Services that start at the same time need the same functions. Without the lock, each service would compile all of them,
and these compilations would compete for the cores.
"""

import fcntl
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

Observer = Callable[[str, float | None], None]
"""Called with a name and None when a compilation begins, and with the name and its duration in seconds at the end."""

_FOLDER = "compiled"  # in the cache, with a file for each function
_DONE = b"done\n"
WAIT_S = 120.0
_POLL_S = 0.02
_observers: list[Observer] = []


@contextmanager
def observed_by(observer: Observer) -> Iterator[None]:
    """Report to an observer what this process compiles; functions that are loaded from the cache are not reported."""
    _observers.append(observer)
    try:
        yield
    finally:
        _observers.remove(observer)


@contextmanager
def compiling(name: str, *, is_told: bool = True) -> Iterator[None]:
    """Context in which the function of this name is compiled, or loaded from the cache.

    If the cache has the function, the context begins at once. Otherwise the first process compiles it, and other
    processes wait for it, but not for ever: after two minutes they compile it themselves.

    Parameters
    ----------
    name
        Name of the function, with its module.
    is_told
        Whether the compilation is reported to observers.
    """
    from std_daq.native.numba_extensions import without_extensions

    with _turn(name, is_told=is_told), without_extensions():
        yield


@contextmanager
def _turn(name: str, *, is_told: bool) -> Iterator[None]:
    file = _file(name)
    if is_compiled(name):
        yield
        return
    file.parent.mkdir(exist_ok=True)
    with open(file, "ab", opener=_private) as lock:
        _wait_for(lock)  # the kernel releases it, however this process ends
        if os.fstat(lock.fileno()).st_size > 0:
            yield
            return
        began_at = time.monotonic()
        if is_told:
            _tell(name, None)
        yield
        if is_told:
            _tell(name, time.monotonic() - began_at)
        lock.write(_DONE)


def _private(path: str, flags: int) -> int:
    """Open a file that other users cannot open, so that none of them can hold its lock."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o660)


def _wait_for(lock: BinaryIO) -> None:
    """Take a lock, or go on without it: two processes that compile the same function only do more than they must."""
    gives_up_at = time.monotonic() + WAIT_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= gives_up_at:
                return
            time.sleep(_POLL_S)
        else:
            return


def is_compiled(name: str) -> bool:
    """Return whether the cache has the function of this name."""
    try:
        return _file(name).stat().st_size > 0
    except OSError:
        return False


def _file(name: str) -> Path:
    """Return the file that records that a function is compiled for this processor and this version of numba."""
    import llvmlite.binding
    import numba

    from std_daq.native.numba_settings import numba_config, restore

    restore()
    processor = numba_config.CPU_NAME or llvmlite.binding.get_host_cpu_name()
    version = f"python{platform.python_version()}-numba{numba.__version__}"
    return Path(numba_config.CACHE_DIR) / _FOLDER / f"{name}-{processor}-{version}"


def _tell(name: str, seconds: float | None) -> None:
    for observer in _observers:
        observer(name, seconds)
