"""A picture made of characters, for a terminal with colours: each character shows two pixels, one above the other."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.color import Color
from rich.segment import Segment, Segments
from rich.style import Style

from std_daq.imaging.files.colours import colour

_UPPER_HALF = "\u2580"


def terminal_picture(pixels: NDArray[Any], columns: int, rows: int) -> Segments:
    """Return an image (height, width) as characters, in at most ``rows`` rows and ``columns`` columns.

    Each pixel of the picture is the mean of a block of pixels of the image.
    """
    colours = colour(_shrink(pixels, columns, 2 * rows))
    segments = []
    for above, below in zip(colours[:-1:2], colours[1::2], strict=True):
        segments += [Segment(_UPPER_HALF, _style(top, bottom)) for top, bottom in zip(above, below, strict=True)]
        segments.append(Segment.line())
    return Segments(segments)


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
