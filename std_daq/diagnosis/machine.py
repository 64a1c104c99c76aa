"""Where the diagnosis reads from: /proc and /sys, which tests put elsewhere."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Machine:
    """Files by which the kernel tells about itself.

    Parameters
    ----------
    proc, sys, root
        Where these file systems are.
    """

    proc: Path = Path("/proc")
    sys: Path = Path("/sys")
    root: Path = Path("/")

    def sysctl(self, name: str) -> int | None:
        """Return a kernel parameter such as ``net.core.rmem_max``; None where this kernel or container has none."""
        return read_number(self.proc / "sys" / name.replace(".", "/"))

    def memory_bytes(self, name: str) -> int | None:
        """Return a line of /proc/meminfo, such as ``MemAvailable``, in bytes (or pages, where it counts those)."""
        with suppress(OSError):
            for line in (self.proc / "meminfo").read_text().splitlines():
                key, _, value = line.partition(":")
                if key == name:
                    number, *unit = value.split()
                    return int(number) * (1024 if unit else 1)
        return None


def read_number(path: Path) -> int | None:
    """Return the number in a file, None where there is none."""
    try:
        return int(path.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None


def read_word(path: Path) -> str:
    """Return the text of a file without white space around it; empty where there is none."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""
