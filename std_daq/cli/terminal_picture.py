"""A picture made of characters, with a caption, that fits the window of a terminal.

With colours each character shows two pixels, one above the other. Without, the brighter a place is, the more of the
character's cell is filled, and a place without a value is ``?``.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.color import Color
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from std_daq.imaging.files.colours import brightness, colour

_UPPER_HALF = "\u2580"
_FROM_DARK_TO_BRIGHT = " .:-=+*#%@"
_NO_VALUE = "?"


class TerminalPicture:
    """An image and a caption below it, to be printed on a console of rich.

    Parameters
    ----------
    pixels
        The image (height, width). Each pixel of the picture is the mean of a block of its pixels.
    caption
        What is said of it.
    """

    def __init__(self, pixels: NDArray[Any], caption: str) -> None:
        self._pixels = pixels
        self._caption = Text(caption)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield as many rows as the window has beside the caption, at most half of it, and the line of the cursor."""
        caption = console.render_lines(self._caption, options.update(height=None), pad=False)[: console.height // 2]
        rows = console.height - len(caption) - 1
        has_colours = console.color_system is not None and not console.no_color and options.encoding.startswith("utf")
        if rows > 0:
            draw = _coloured if has_colours else _filled
            yield from draw(_shrink(self._pixels, options.max_width, 2 * rows))
        for index, line in enumerate(caption):
            if index:
                yield Segment.line()
            yield from line


def _coloured(pixels: NDArray[np.float32]) -> Iterator[Segment]:
    colours = colour(pixels)
    for above, below in zip(colours[:-1:2], colours[1::2], strict=True):
        for top, bottom in zip(above, below, strict=True):
            yield Segment(_UPPER_HALF, _style(top, bottom))
        yield Segment.line()


def _filled(pixels: NDArray[np.float32]) -> Iterator[Segment]:
    bright = brightness(pixels)
    pairs = bright[: len(bright) // 2 * 2].reshape(-1, 2, bright.shape[1]).mean(axis=1)
    has_value = np.isfinite(pairs)
    steps = (np.where(has_value, pairs, 0.0) * (len(_FROM_DARK_TO_BRIGHT) - 1)).round().astype(int)
    for row, are_there in zip(steps.tolist(), has_value.tolist(), strict=True):
        cells = zip(row, are_there, strict=True)
        yield Segment("".join(_FROM_DARK_TO_BRIGHT[step] if is_there else _NO_VALUE for step, is_there in cells))
        yield Segment.line()


def _shrink(pixels: NDArray[Any], width: int, height: int) -> NDArray[np.float32]:
    """Return the means of square blocks; drops the pixels at the right and lower edges that fill no whole block.

    Where an image is narrower than a block, the blocks are as narrow as the image. A single row is shown twice.
    """
    side = max(1, -(-pixels.shape[0] // height), -(-pixels.shape[1] // width))
    rows, columns = (min(side, length) for length in pixels.shape)
    n_rows, n_columns = pixels.shape[0] // rows, pixels.shape[1] // columns
    blocks = pixels[: n_rows * rows, : n_columns * columns].reshape(n_rows, rows, n_columns, columns)
    with np.errstate(over="ignore", invalid="ignore"):
        means: NDArray[np.float32] = blocks.mean(axis=(1, 3), dtype=np.float32)
    return np.repeat(means, 2, axis=0) if n_rows == 1 else means


def _style(top: NDArray[np.uint8], bottom: NDArray[np.uint8]) -> Style:
    return Style(color=Color.from_rgb(*map(float, top)), bgcolor=Color.from_rgb(*map(float, bottom)))
