"""Where compiled code is kept: a folder for each state of the sources, so that no stale code is ever run.

numba keeps the machine code of a function beside its source and knows it by that one file. A function that calls
others of another module, as the receive loop does, would go on with their old code after an upgrade. So the folder's
name is the digest of all modules with compiled code: where any of them differs, everything is compiled anew.
"""

import hashlib
import os
import shutil
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

VARIABLE = "NUMBA_CACHE_DIR"
_PATTERNS = ("std_*/**/kernels.py", "services/*/std_*/**/kernels.py", "std_daq/shm/atomics.py")
_KEPT_FOLDERS = 8


def use_own_cache() -> Path:
    """Make numba keep compiled code in the folder of these sources; returns it.

    The folder lies below the environment's NUMBA_CACHE_DIR, else below the user's cache directory.
    """
    digest = _digest(Path(__file__).parents[1])
    given = os.environ.get(VARIABLE)
    if given and Path(given).name == digest:  # set by the process that started this one
        return Path(given)
    parent = Path(given) if given else _user_cache() / "std-daq" / "compiled"
    folder = parent / digest
    os.environ[VARIABLE] = str(folder)
    numba = sys.modules.get("numba")
    if numba is not None:  # has already read the environment
        numba.config.CACHE_DIR = str(folder)
    if not folder.exists():
        _forget_oldest(parent)
    return folder


def _digest(root: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted({file for pattern in _PATTERNS for file in root.glob(pattern)}):
        digest.update(str(file.relative_to(root)).encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _user_cache() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    with suppress(OSError):
        cache.mkdir(parents=True, exist_ok=True)
    return cache if os.access(cache, os.W_OK) else Path(tempfile.gettempdir()) / f"std-daq-cache-{os.getuid()}"


def _forget_oldest(parent: Path) -> None:
    with suppress(OSError):
        folders = sorted((path for path in parent.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime)
        for folder in folders[: max(0, len(folders) - _KEPT_FOLDERS + 1)]:
            shutil.rmtree(folder, ignore_errors=True)
