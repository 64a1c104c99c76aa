"""The references in C: compiled for this machine when a benchmark needs them."""

import ctypes
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from std_daq.errors import ResourceError

# -march=native: a reference is to be as fast as C is on this machine.
FLAGS = ("-std=gnu11", "-O3", "-march=native", "-shared", "-fPIC", "-pthread", "-Wall", "-Wextra", "-Werror")
# Types of arguments: an address as an int, a number of bytes or turns.
POINTER = ctypes.c_void_p
SIZE = ctypes.c_size_t
COMPILERS = ("cc", "gcc", "clang")

_FOLDER = Path(__file__).resolve().parents[1] / "reference"


def source(name: str) -> Path:
    """Return the C source of a reference; raises ResourceError if it is not there."""
    path = _FOLDER / f"{name}.c"
    if not path.is_file():
        raise ResourceError(f"the reference {path} is not there")
    return path


def compiler() -> str:
    """Return the C compiler: ``$CC``, or what is on the path.

    Raises
    ------
    ResourceError
        There is none.
    """
    for candidate in (os.environ.get("CC", ""), *COMPILERS):
        found = shutil.which(candidate) if candidate else None
        if found:
            return found
    raise ResourceError("the references need a C compiler: install one (apt install gcc libc6-dev), or set CC")


def load(name: str) -> ctypes.CDLL:
    """Compile a reference, unless this machine has it already, and load it.

    Raises
    ------
    ResourceError
        There is no compiler, or it refuses; the text holds what it says.
    """
    path = source(name)
    command = [compiler(), *FLAGS]
    digest = hashlib.sha256(path.read_bytes() + repr((command, _processor())).encode()).hexdigest()[:16]
    library = cache_folder() / f"{name}-{digest}.so"
    if not library.exists():
        library.parent.mkdir(parents=True, exist_ok=True)
        unfinished = library.with_suffix(f".{os.getpid()}")
        compiled = subprocess.run(
            [*command, str(path), "-o", str(unfinished), "-lm"], capture_output=True, text=True, check=False
        )
        if compiled.returncode:
            raise ResourceError(f"{path} was not compiled by {' '.join(command)}:\n{compiled.stderr.strip()}")
        unfinished.replace(library)
    return ctypes.CDLL(str(library), use_errno=True)


def cache_folder() -> Path:
    """Return where compiled references are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "std-daq" / "references"


def _processor() -> str:
    # A home folder may be shared by machines with unlike processors.
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return "\n".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))
