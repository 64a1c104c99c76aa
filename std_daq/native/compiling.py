"""One process at a time compiles a function: others that need it wait, and then find it in the cache.

Services that start side by side need the same functions. Without this, each of them would compile all of these anew, on
cores that have enough to do.
"""

import fcntl
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Observer = Callable[[str, float | None], None]
"""Called with the name of what is compiled now; and once more at its end, with the seconds that it took."""

_FOLDER = "compiled"  # in the cache, with a file for each function
_DONE = b"done\n"
_observers: list[Observer] = []


@contextmanager
def observed_by(observer: Observer) -> Iterator[None]:
    """Tell an observer what this process compiles, not what it finds in its cache."""
    _observers.append(observer)
    try:
        yield
    finally:
        _observers.remove(observer)


@contextmanager
def compiling(name: str, *, is_told: bool = True) -> Iterator[None]:
    """Compile in this context what has this name, or load it from the cache.

    Where the cache has it, nobody waits for anybody. Otherwise the first one compiles, while others wait.

    Parameters
    ----------
    name
        Of the function, with its module.
    is_told
        Whether observers hear of it.
    """
    file = _file(name)
    if is_compiled(name):
        yield
        return
    file.parent.mkdir(exist_ok=True)
    with file.open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the kernel lets go of it however this process ends
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


def is_compiled(name: str) -> bool:
    """Tell whether the cache has what this name stands for."""
    try:
        return _file(name).stat().st_size > 0
    except OSError:
        return False


def _file(name: str) -> Path:
    """Return the file that tells whether a function is compiled, for this processor by this numba."""
    import llvmlite.binding
    import numba

    numba_config: Any = numba.config
    processor = numba_config.CPU_NAME or llvmlite.binding.get_host_cpu_name()
    version = f"python{platform.python_version()}-numba{numba.__version__}"
    return Path(numba_config.CACHE_DIR) / _FOLDER / f"{name}-{processor}-{version}"


def _tell(name: str, seconds: float | None) -> None:
    for observer in _observers:
        observer(name, seconds)
