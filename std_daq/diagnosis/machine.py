"""Access to /proc and /sys for the diagnosis; tests put these folders elsewhere."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Machine:
    """Files in which the kernel shows its state.

    Parameters
    ----------
    proc, sys, root
        Paths at which these file systems are mounted.
    """

    proc: Path = Path("/proc")
    sys: Path = Path("/sys")
    root: Path = Path("/")

    def sysctl(self, name: str) -> int | None:
        """Return a kernel parameter such as ``net.core.rmem_max``; None if this kernel or container has none."""
        return read_number(self.proc / "sys" / name.replace(".", "/"))

    def memory_bytes(self, name: str) -> int | None:
        """Return a value of /proc/meminfo, such as ``MemAvailable``, in bytes; a ``HugePages_`` value is in pages."""
        with suppress(OSError):
            for line in (self.proc / "meminfo").read_text().splitlines():
                key, _, value = line.partition(":")
                if key == name:
                    number, *unit = value.split()
                    return int(number) * (1024 if unit else 1)
        return None


def read_number(path: Path) -> int | None:
    """Return the number in a file; None if the file does not exist or contains no number."""
    try:
        return int(path.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None


def read_text(path: Path) -> str:
    """Return the text of a file; empty if the file does not exist."""
    try:
        return path.read_text()
    except OSError:
        return ""


def read_word(path: Path) -> str:
    """Return the text of a file without white space around it; empty if the file does not exist."""
    return read_text(path).strip()
