"""What the terminal behind a stream can do: its size, colours, and lines that are written over.

The variables of the environment are those that other programs obey: ``TERM=dumb`` for a terminal that obeys no escape
sequence, ``NO_COLOR`` for one that shall show no colours, ``COLUMNS`` and ``LINES`` for its size.
"""

import os
import time
from typing import TextIO

_WITHOUT_TERMINAL = (200, 50)  # columns and lines: wide enough for every column of a table
_NO_SEQUENCES = {"", "dumb", "unknown"}
_LINE_PERIOD_S = 5.0


def obeys_sequences(stream: TextIO) -> bool:
    """Return whether a stream is a terminal that obeys escape sequences, so that lines can be written over."""
    return stream.isatty() and os.environ.get("TERM", "").strip().lower() not in _NO_SEQUENCES


def has_colours(stream: TextIO) -> bool:
    """Return whether a stream is a terminal that shows colours, and whose user wants them."""
    return obeys_sequences(stream) and not os.environ.get("NO_COLOR")


def terminal_size(stream: TextIO) -> tuple[int, int]:
    """Return the number of columns and of lines; a stream that is no terminal has the columns of a wide one.

    ``COLUMNS`` and ``LINES`` of the environment count, but on a terminal never more than it has: a line that is longer
    cannot be written over.
    """
    try:
        there = os.get_terminal_size(stream.fileno()) if stream.isatty() else None
    except (OSError, ValueError):
        there = None
    columns, lines = (_asked_for(name) for name in ("COLUMNS", "LINES"))
    if there is None or 0 in there:  # a terminal on a serial line may not know its size
        return columns or (_WITHOUT_TERMINAL[0] if there is None else 80), lines or _WITHOUT_TERMINAL[1]
    return min(columns or there.columns, there.columns), min(lines or there.lines, there.lines)


def _asked_for(name: str) -> int:
    text = os.environ.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 6 else 0


class ProgressLine:
    """A line that tells how far a command is, and is written over.

    On a terminal that cannot write over, it is a new line every 5 s. What is no terminal gets none.

    Parameters
    ----------
    file
        The stream, which obeys control characters.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._is_shown = self._file.isatty()
        self._is_over = obeys_sequences(self._file)
        self._next_s = time.monotonic() + _LINE_PERIOD_S
        self._is_open = False

    def show(self, text: str) -> None:
        """Show a text of the command itself, in the place of the one before; it is cut where the terminal ends."""
        if self._is_over:
            columns, _ = terminal_size(self._file)
            self._file.write(f"\r{text[: columns - 1]}\033[K")
            self._file.flush()
            self._is_open = True
        elif self._is_shown and time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + _LINE_PERIOD_S
            print(text, file=self._file, flush=True)

    def end(self) -> None:
        """Leave the last text; what comes next begins a line."""
        if self._is_open:
            self._is_open = False
            print(file=self._file, flush=True)

    def clear(self) -> None:
        """Take the text away."""
        if self._is_open:
            self._is_open = False
            self._file.write("\r\033[K")
            self._file.flush()
