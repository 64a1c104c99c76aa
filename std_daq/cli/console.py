"""The console on which commands print tables."""

import sys

from rich.console import Console

_WIDE = 200


def table_console() -> Console:
    """Return a console on standard output: as wide as the terminal, or wide enough for every column without one."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else _WIDE)
