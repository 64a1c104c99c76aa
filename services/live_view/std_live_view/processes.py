"""Looks for a process by its name."""

from pathlib import Path

_MAX_COMM_BYTES = 15  # the kernel cuts names


def is_process_running(name: str, proc: Path = Path("/proc")) -> bool:
    """Return whether a process of this name runs: as the kernel calls it, or as its command line begins."""
    for folder in proc.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            comm = (folder / "comm").read_text(errors="replace").rstrip("\n")
            program = (folder / "cmdline").read_bytes().partition(b"\0")[0].decode(errors="replace")
        except OSError:
            continue  # it has ended meanwhile
        if comm == name[:_MAX_COMM_BYTES] or Path(program).name == name:
            return True
    return False
