"""Places of the rows of GIGAFROST's quadrants and links in the image."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.errors import ConfigError
from std_daq.imaging.config.model import DetectorConfig

N_MODULES = 8
MAX_EDGE = 2016
# A packet may end with 36 bytes of padding, and a row must be longer than that, so that padding is not mistaken for a
# row. 36 bytes are 24 pixels of a quadrant, an image 48 pixels wide; the next multiple of 4 is 52.
MIN_WIDTH = 52


class Quadrant(IntEnum):
    """Numbers of the quadrants in packets."""

    SOUTH_WEST = 0
    SOUTH_EAST = 1
    NORTH_WEST = 2
    NORTH_EAST = 3


@dataclass(frozen=True, slots=True)
class LinkRows:
    """Place of a module's rows in the image; a module is a link of a quadrant.

    Parameters
    ----------
    y_first
        Row of the image that holds row 0 of the module.
    y_step
        2 or -2, as the rows in between belong to the other link. Rows count from the middle of the image outwards.
    left, width, height
        First column in the image, number of pixels in a row, number of rows.
    """

    y_first: int
    y_step: int
    left: int
    width: int
    height: int

    def view(self, image: NDArray[Any]) -> NDArray[Any]:
        """Return a view of the module's pixels in an image, row 0 first, (height, width)."""
        rows = self.y_first + self.y_step * np.arange(self.height)
        return image[min(rows[0], rows[-1]) : max(rows[0], rows[-1]) + 1 : 2, self.left : self.left + self.width][
            :: 1 if self.y_step > 0 else -1
        ]


def quadrant_and_link(module: int) -> tuple[Quadrant, int]:
    """Return the quadrant and the link of a module."""
    return Quadrant(module // 2), module % 2


def link_rows(module: int, image_shape: tuple[int, int]) -> LinkRows:
    """Return the place of a module in an image (height, width)."""
    height, width = image_shape
    quadrant, link = quadrant_and_link(module)
    is_north = quadrant in (Quadrant.NORTH_WEST, Quadrant.NORTH_EAST)
    is_east = quadrant in (Quadrant.SOUTH_EAST, Quadrant.NORTH_EAST)
    return LinkRows(
        y_first=height // 2 - 1 - link if is_north else height // 2 + link,
        y_step=-2 if is_north else 2,
        left=width // 2 if is_east else 0,
        width=width // 2,
        height=height // 4,
    )


def check_geometry(config: DetectorConfig) -> None:
    """Check the number of modules and the size of the image; raises ConfigError."""
    if config.n_modules != N_MODULES:
        raise ConfigError(
            "a GIGAFROST has four quadrants with two links each",
            key="n_modules",
            value=config.n_modules,
            remedy=f"give {N_MODULES}",
        )
    for key, edge in (
        ("image_pixel_height", config.image_pixel_height),
        ("image_pixel_width", config.image_pixel_width),
    ):
        if edge % 4 or edge > MAX_EDGE:
            raise ConfigError(
                "no such region of interest", key=key, value=edge, remedy=f"give a multiple of 4 up to {MAX_EDGE}"
            )
    if config.image_pixel_width < MIN_WIDTH:
        raise ConfigError(
            "rows must be longer than the padding of packets",
            key="image_pixel_width",
            value=config.image_pixel_width,
            remedy=f"give at least {MIN_WIDTH}",
        )
