"""ImageStyle: how an image is shown in a notebook."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from std_daq.imaging.display.colour_maps import COLOUR_MAPS, SCALES, ColourMap, Scale, colour_table

MIN_WIDTH = 16
MAX_WIDTH = 4096
_N_CORNERS = 4
_N_STOPS = 17


@dataclass(frozen=True, slots=True)
class ImageStyle:
    """How an image is shown.

    Parameters
    ----------
    low, high
        Values of the first and the last colour; None: found from each image, so that most of it has different colours.
    scale
        How a value becomes a colour: linear, sqrt or log.
    colours
        The map of colours.
    region
        Corners x0, y0, x1, y1 in pixels of the detector, the ends excluded; None: the whole image.
    width
        Largest width and height on the page, in pixels, 16 to 4096.

    Raises
    ------
    ValueError
        One of them is not of this kind; the message says which.
    """

    low: float | None = None
    high: float | None = None
    scale: Scale = "linear"
    colours: ColourMap = "viridis"
    region: Sequence[int] | None = None
    width: int = 512

    def __post_init__(self) -> None:
        for name, limit in (("low", self.low), ("high", self.high)):
            if limit is not None and not math.isfinite(limit):
                raise ValueError(f"{name}: {limit!r} is not a finite number")
        for name, value, choices in (("scale", self.scale, SCALES), ("colours", self.colours, COLOUR_MAPS)):
            if value not in choices:
                raise ValueError(f"{name}: {value!r} is none of {', '.join(map(repr, choices))}")
        if not MIN_WIDTH <= self.width <= MAX_WIDTH:
            raise ValueError(f"width: {self.width!r} is not {MIN_WIDTH} to {MAX_WIDTH}")
        if self.region is not None and len(self.region) != _N_CORNERS:
            raise ValueError(f"region: {self.region!r} is not x0, y0, x1, y1")

    def query(self) -> dict[str, object]:
        """Return the parameters with which a console makes such a picture, without those of its size."""
        limits = {name: float(value) for name, value in (("low", self.low), ("high", self.high)) if value is not None}
        return {"scale": self.scale, "colours": self.colours, **limits, **self.region_query()}

    def region_query(self) -> dict[str, object]:
        """Return the parameter that names the region, if there is one."""
        return {} if self.region is None else {"region": ",".join(str(int(corner)) for corner in self.region)}

    def gradient(self) -> str:
        """Return the map of colours as CSS has it, the first colour on the left."""
        colours = colour_table(self.colours)[:: 255 // (_N_STOPS - 2)]
        return f"linear-gradient(to right, {', '.join(f'#{bytes(colour).hex()}' for colour in colours)})"


def fitting(shape: tuple[int, int], width: int) -> tuple[int, int]:
    """Return width and height on the page of rows and columns, with square pixels and the longer side as wide."""
    rows, columns = shape
    longest = max(rows, columns, 1)
    return max(1, round(columns * width / longest)), max(1, round(rows * width / longest))
