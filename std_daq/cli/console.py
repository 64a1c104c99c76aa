"""What commands print on: tables, and lines that are written over."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO, cast

from std_daq.telemetry.printable import PrintableStream, raw_stream

if TYPE_CHECKING:
    from std_daq.telemetry.terminal_console import TerminalConsole

_WIDE = 200


def table_console() -> "TerminalConsole":
    """Return a console on standard output: as wide as the terminal, or wide enough for every column without one."""
    from std_daq.telemetry.terminal_console import TerminalConsole

    return TerminalConsole(width=None if sys.stdout.isatty() else _WIDE)


@contextmanager
def printable_output() -> Iterator[None]:
    """Make printable what is written to standard output and standard error, wherever it comes from."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast("TextIO", PrintableStream(stream)) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def write_over(text: str) -> None:
    """Write a text of the command itself to standard error, in the place of the present line."""
    file = raw_stream(sys.stderr)
    file.write(f"\r{text}\033[K")
    file.flush()


def print_progress(line: str) -> None:
    """Print a line that tells how far a command is, beside its output."""
    print(line, file=sys.stderr)
