"""TerminalConsole: the console of rich on which everything is printed that is more than plain text."""

import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleDimensions, ConsoleOptions, RenderableType
from rich.segment import Segment

from std_daq.telemetry.printable import printable_lines, raw_stream
from std_daq.terminal import obeys_sequences, terminal_size


class TerminalConsole(Console):
    """A console that obeys no text from outside: neither escape sequences nor the markup of rich.

    Its size is that of `terminal_size`, also while the window changes.

    Parameters
    ----------
    is_error
        Whether it prints on standard error, and not on standard output.
    options
        Options of `rich.console.Console`.

    Attributes
    ----------
    obeys_sequences
        Whether lines can be written over.
    """

    def __init__(self, *, is_error: bool = False, **options: Any) -> None:
        self._stream = raw_stream(sys.stderr if is_error else sys.stdout)
        self._width_given: int | None = options.get("width")
        self.obeys_sequences = obeys_sequences(self._stream)
        if self._stream.isatty() and not self.obeys_sequences:
            options["color_system"] = None
        super().__init__(file=self._stream, highlight=False, markup=False, emoji=False, **options)

    @property  # type: ignore[misc]  # no size can be set: it is that of the terminal
    def size(self) -> ConsoleDimensions:
        """Columns and lines."""
        columns, lines = terminal_size(self._stream)
        return ConsoleDimensions(self._width_given or columns, lines)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Return the segments of an object with printable texts."""
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
            else:
                yield Segment(printable_lines(segment.text), segment.style)
