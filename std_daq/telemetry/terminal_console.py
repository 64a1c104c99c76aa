"""TerminalConsole: the console of rich on which everything is printed that is more than plain text."""

import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from std_daq.telemetry.printable import printable_lines, raw_stream


class TerminalConsole(Console):
    """A console that obeys no text from outside: neither escape sequences nor the markup of rich.

    Parameters
    ----------
    is_error
        Whether it prints on standard error, and not on standard output.
    options
        Options of `rich.console.Console`.
    """

    def __init__(self, *, is_error: bool = False, **options: Any) -> None:
        file = raw_stream(sys.stderr if is_error else sys.stdout)
        super().__init__(file=file, highlight=False, markup=False, emoji=False, **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Return the segments of an object with printable texts."""
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
            else:
                yield Segment(printable_lines(segment.text), segment.style)
