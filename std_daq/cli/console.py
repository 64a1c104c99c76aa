"""The console for tables: as wide as the terminal, and elsewhere wide enough to cut nothing off."""

import sys

from rich.console import Console

_WIDE = 200


def table_console() -> Console:
    """Return a console on standard output."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else _WIDE)
