"""Where compiled code is kept: one folder for each state of the sources, so that no stale code is ever run.

Numba keeps the machine code of a function and looks at one file to tell whether it is still valid: the source of that
function. But the receive loop calls functions of other modules and uses constants of others again. If one of those
changes, numba would find the old loop and run it. So the name of our folder contains a digest of all these sources.
When any of them differs, everything is compiled anew.

The digest contains the versions of numba and llvmlite as well. Two environments of one user may have the same std-daq
with different ones; in one folder each would replace the files of the other, and may read what it cannot understand.

An image carries its compiled code in a folder that nobody may write to. Numba refuses such a folder. So numba gets a
folder of our own in which each file is a link into the one of the image.

A folder is marked as ours by its name and by a file in it. Only such folders are ever removed.
"""

import hashlib
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import llvmlite
import numba

numba_config: Any = numba.config  # whose names numba sets as it reads the environment

VARIABLE = "NUMBA_CACHE_DIR"
MAX_FOLDERS = 8
"""So many states of the sources keep their code; the folder that was used longest ago goes first."""

MARKER = "CACHEDIR.TAG"
MARKER_TEXT = (
    "Signature: 8a477f597d28d172789f06886806bc55\n"
    "# Compiled code of std-daq. This folder may be removed at any time: https://bford.info/cachedir/\n"
)

_PACKAGES = ("std_*", "services/*/std_*", "benchmarks/std_*")  # installed, and in a clone
_KERNELS = ("**/kernels.py", "**/*_kernels.py", "native/*.py")
_FOLDER_NAME = re.compile(r"std-daq-[0-9a-f]{16}")
_OWN_IMPORT = re.compile(rb"^\s*from (std_[\w.]+) import", re.MULTILINE)


def use_own_cache() -> Path:
    """Make numba keep compiled code in the folder of these sources; returns the folder.

    The folder lies below the environment's NUMBA_CACHE_DIR, else below the user's cache directory. Where that cannot be
    written to, it lies below the directory for temporary files.
    """
    name = folder_name(Path(__file__).parents[2])
    given = os.environ.get(VARIABLE)
    folder = (Path(given) if given else _user_cache() / "std-daq" / "compiled") / name
    if _is_writable(folder):
        _make(folder)
    else:
        copy = _temporary_folder() / name
        _make(copy)
        _link(folder, copy)
        folder = copy
    # Not by the environment: a child process may belong to another state of the sources.
    numba_config.CACHE_DIR = str(folder)
    return folder


def folder_name(root: Path) -> str:
    """Return the name of the folder for the sources below ``root``, a clone or the folder of installed packages."""
    digest = hashlib.sha256(f"numba {numba.__version__} llvmlite {llvmlite.__version__}".encode())
    for file in sources(root):
        digest.update(str(file.relative_to(root)).encode())
        digest.update(file.read_bytes())
    return f"std-daq-{digest.hexdigest()[:16]}"


def sources(root: Path) -> list[Path]:
    """Return the files that compiled code is made of: modules of kernels, and our modules that these import.

    The latter hold the constants and record types that become part of the machine code.
    """
    packages = {folder.name: folder for pattern in _PACKAGES for folder in root.glob(pattern) if folder.is_dir()}
    kernels = {file for folder in packages.values() for pattern in _KERNELS for file in folder.glob(pattern)}
    return sorted(kernels.union(*(_imported(file, packages) for file in kernels)))


def _imported(file: Path, packages: dict[str, Path]) -> Iterator[Path]:
    for match in _OWN_IMPORT.finditer(file.read_bytes()):
        package, *names = match[1].decode().split(".")
        if package not in packages:
            continue
        module = packages[package].joinpath(*names)
        candidates = (module.with_suffix(".py"), module / "__init__.py")
        yield from (candidate for candidate in candidates if candidate.is_file())


def _make(folder: Path) -> None:
    """Make a folder of ours, or note that it is used."""
    if (folder / MARKER).exists():
        with suppress(OSError):  # made by another user
            os.utime(folder / MARKER)
        return
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARKER).write_text(MARKER_TEXT)
    _remove_oldest(folder.parent)


def _remove_oldest(parent: Path) -> None:
    with suppress(OSError):  # another process was here first
        ours = sorted(filter(_is_ours, parent.iterdir()), key=lambda folder: (folder / MARKER).stat().st_mtime_ns)
        for folder in ours[:-MAX_FOLDERS]:
            shutil.rmtree(folder, ignore_errors=True)


def _is_ours(path: Path) -> bool:
    if not _FOLDER_NAME.fullmatch(path.name) or path.is_symlink():
        return False
    try:
        return (path / MARKER).read_text() == MARKER_TEXT
    except (OSError, UnicodeDecodeError):
        return False


def _is_writable(folder: Path) -> bool:
    """Whether files can be made in a folder, or in the one in which it would have to be made."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return os.access(folder, os.W_OK | os.X_OK)


def _link(source: Path, copy: Path) -> None:
    """Fill a folder with links to the files of another; numba replaces files and never writes into one."""
    for folder, _, files in os.walk(source):
        here = copy / Path(folder).relative_to(source)
        here.mkdir(mode=0o700, exist_ok=True)
        for file in files:
            with suppress(FileExistsError):  # the marker, or another process was here first
                (here / file).symlink_to(Path(folder, file))


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
