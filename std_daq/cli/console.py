"""What commands print on: standard output without control characters, and a line that is written over."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO, cast

from std_daq.telemetry.printable import PrintableStream, raw_stream
from std_daq.terminal import ProgressLine


@contextmanager
def printable_output() -> Iterator[None]:
    """Make printable what is written to standard output and standard error, wherever it comes from."""
    # Otherwise numba, where colorama is there, ends each command with an escape sequence, which would be shown.
    os.environ.setdefault("NUMBA_DISABLE_ERROR_MESSAGE_HIGHLIGHTING", "1")
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast("TextIO", PrintableStream(stream)) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def progress_line() -> ProgressLine:
    """Return a line on standard error that is written over."""
    return ProgressLine(raw_stream(sys.stderr))


def print_progress(line: str) -> None:
    """Print a line that tells how far a command is, beside its output."""
    print(line, file=sys.stderr)
