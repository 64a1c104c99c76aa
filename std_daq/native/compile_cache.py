"""The cache of compiled code: one folder for each state of the sources, so that stale code is never run.

Numba caches the machine code of a function. To decide whether it is still valid, numba looks only at the source file of
this function. But the receive loop, for example, calls functions and uses constants of other modules. If one of these
changed, numba would still run the old loop. Therefore the name of our cache folder contains a digest of all these
sources: if any of them changes, everything is compiled again.

The digest also covers the versions of numba and llvmlite. Two environments of one user may have the same std-daq but
different versions of numba. In a common folder, each would replace the files of the other, or read files that it does
not understand.

A container image has its compiled code in a read-only folder, which numba does not accept as a cache. Numba then gets a
writable folder that contains a link to each file of the image.

The name of a folder and a marker file in it show that it is ours. Only such folders are ever removed.
"""

import hashlib
import os
import re
import shutil
import stat
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import llvmlite
import numba

from std_daq.folders.owners import distrust_folder
from std_daq.native.numba_settings import keep

VARIABLE = "NUMBA_CACHE_DIR"
MAX_FOLDERS = 8
"""Number of folders to keep; the folder that was used longest ago is removed first."""

MARKER = "CACHEDIR.TAG"
MARKER_TEXT = (
    "Signature: 8a477f597d28d172789f06886806bc55\n"
    "# Compiled code of std-daq. This folder may be removed at any time: https://bford.info/cachedir/\n"
)

_PACKAGES = ("std_*", "services/*/std_*", "benchmarks/std_*")  # the latter two only exist in a clone
_KERNELS = ("**/kernels.py", "**/*_kernels.py", "native/*.py")
_FOLDER_NAME = re.compile(r"std-daq-[0-9a-f]{16}")
_OWN_IMPORT = re.compile(rb"^\s*from (std_[\w.]+) import", re.MULTILINE)


def use_own_cache() -> Path:
    """Make numba use the cache folder of these sources; returns the folder.

    The folder is in NUMBA_CACHE_DIR if this variable is set, otherwise in the user's cache directory. If that is not
    writable, the folder is in the directory for temporary files. So it is if another user may have put code there: what
    is in the cache is executed.
    """
    name = folder_name(Path(__file__).parents[2])
    given = os.environ.get(VARIABLE)
    folder = (Path(given) if given else _user_cache() / "std-daq" / "compiled") / name
    if problem := _distrust(folder):
        copy = _temporary_folder() / name
        warnings.warn(f"compiled code is not taken from {folder}: {problem}. Now it is in {copy}", stacklevel=2)
        _make(copy)
        folder = copy
    elif _is_writable(folder):
        _make(folder)
    else:
        copy = _temporary_folder() / name
        _make(copy)
        _link(folder, copy)
        folder = copy
    # Not through the environment: a child process may run other sources.
    keep(CACHE_DIR=str(folder))
    return folder


def folder_name(root: Path) -> str:
    """Return the folder name for the sources in ``root``: a clone, or the directory of installed packages."""
    digest = hashlib.sha256(f"numba {numba.__version__} llvmlite {llvmlite.__version__}".encode())
    for file in sources(root):
        digest.update(str(file.relative_to(root)).encode())
        digest.update(file.read_bytes())
    return f"std-daq-{digest.hexdigest()[:16]}"


def sources(root: Path) -> list[Path]:
    """Return the files that the machine code depends on: modules with kernels, and our modules that they import.

    The imported modules define constants and record types, which become part of the machine code.
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
    """Create a marked folder, or record that an existing one is used."""
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


def _distrust(folder: Path) -> str:
    """Return why code in a folder must not be executed; empty if it may be, or if there is none."""
    for place in (folder.parent, folder):
        try:
            problem = distrust_folder(place)
        except OSError:
            return ""  # not there, so this process makes it
        if problem:
            return problem
    return "every user may write to it; take this right away (chmod o-w)" if folder.stat().st_mode & 0o002 else ""


def _is_writable(folder: Path) -> bool:
    """Return whether files can be created in a folder, or in its closest existing parent."""
    # Not Path.exists, which raises an error below a folder that the user may not enter.
    while not os.path.exists(folder) and folder != folder.parent:  # noqa: PTH110
        folder = folder.parent
    return os.access(folder, os.W_OK | os.X_OK)


def _link(source: Path, copy: Path) -> None:
    """Fill a folder with links to the files of another: numba replaces a file, and never changes one in place."""
    for folder, _, files in os.walk(source):
        here = copy / Path(folder).relative_to(source)
        here.mkdir(mode=0o700, exist_ok=True)
        for file in files:
            with suppress(FileExistsError):  # the marker, or another process was here first
                (here / file).symlink_to(Path(folder, file))


def _user_cache() -> Path:
    given = os.environ.get("XDG_CACHE_HOME")
    try:
        cache = Path(given) if given else Path.home() / ".cache"
    except RuntimeError:  # neither HOME nor an entry in /etc/passwd, as for a user of a container
        return _temporary_folder()
    with suppress(OSError):
        cache.mkdir(parents=True, exist_ok=True)
    return cache if os.access(cache, os.W_OK) else _temporary_folder()


def _temporary_folder() -> Path:
    """Return a temporary folder to which nobody else may write, because its contents are executed."""
    folder = Path(tempfile.gettempdir()) / f"std-daq-cache-{os.getuid()}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022:
        return folder
    return Path(tempfile.mkdtemp(prefix="std-daq-cache-"))
