"""Where compiled code is kept: a folder for each state of the sources, so that no stale code is ever run.

numba keeps the machine code of a function beside its source and knows it by that one file. A function that calls
others of another module, as the receive loop does, would go on with their old code after an upgrade. So the folder's
name is the digest of all modules with compiled code: where any of them differs, everything is compiled anew.

An image has its compiled code with it, in a folder that nobody may write to. numba refuses such a folder, so it is
given one of our own in which each file is a link into that one.
"""

import hashlib
import os
import shutil
import stat
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

VARIABLE = "NUMBA_CACHE_DIR"
_PATTERNS = (
    "std_*/**/kernels.py",
    "services/*/std_*/**/kernels.py",
    "std_daq/native/line_stores.py",
    "std_daq/native/atomics.py",
)
_KEPT_FOLDERS = 8


def use_own_cache() -> Path:
    """Make numba keep compiled code in the folder of these sources; returns it.

    The folder lies below the environment's NUMBA_CACHE_DIR, else below the user's cache directory; where that cannot
    be written to, below the directory for temporary files.
    """
    digest = _digest(Path(__file__).parents[2])
    given = os.environ.get(VARIABLE)
    if given and Path(given).name == digest:  # set by the process that started this one
        return Path(given)
    parent = Path(given) if given else _user_cache() / "std-daq" / "compiled"
    folder = parent / digest
    if given and not _is_writable(folder):
        folder = _linked(folder, _temporary_folder() / digest)
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


def _is_writable(folder: Path) -> bool:
    """Whether files can be made in a folder, or in the one in which it would have to be made."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return os.access(folder, os.W_OK | os.X_OK)


def _linked(source: Path, copy: Path) -> Path:
    """Make a folder whose files are links to those of another; numba replaces files and never writes into one."""
    copy.mkdir(mode=0o700, parents=True, exist_ok=True)
    for folder, _, files in os.walk(source):
        here = copy / Path(folder).relative_to(source)
        here.mkdir(mode=0o700, exist_ok=True)
        for file in files:
            with suppress(FileExistsError):  # another process was here first
                (here / file).symlink_to(Path(folder, file))
    return copy


def _user_cache() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    with suppress(OSError):
        cache.mkdir(parents=True, exist_ok=True)
    return cache if os.access(cache, os.W_OK) else _temporary_folder()


def _temporary_folder() -> Path:
    """Return a folder for temporary files that is ours alone: what lies in a cache of compiled code is executed."""
    folder = Path(tempfile.gettempdir()) / f"std-daq-cache-{os.getuid()}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022:
        return folder
    return Path(tempfile.mkdtemp(prefix="std-daq-cache-"))


def _forget_oldest(parent: Path) -> None:
    with suppress(OSError):
        folders = sorted((path for path in parent.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime)
        for folder in folders[: max(0, len(folders) - _KEPT_FOLDERS + 1)]:
            shutil.rmtree(folder, ignore_errors=True)
