"""Placement of a detector's modules in the image, from the ``module_positions`` of the configuration."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.errors import ConfigError
from std_daq.imaging.config.model import DetectorConfig, ModulePosition


@dataclass(frozen=True, slots=True)
class Placement:
    """Rectangle and orientation of a module in the image.

    Parameters
    ----------
    y_first, x_first
        Row and column of the module's pixel (0, 0) in the image.
    y_step, x_step
        1, or -1 if the module is flipped in this direction.
    height, width
        Size of the rectangle, including the gaps inside the module.
    """

    y_first: int
    x_first: int
    y_step: int
    x_step: int
    height: int
    width: int

    @classmethod
    def from_position(cls, position: ModulePosition) -> "Placement":
        """Return the placement for corners [x0, y0, x1, y1], both inclusive; the first is the module's pixel (0, 0)."""
        x0, y0, x1, y1 = position
        return cls(
            y_first=y0,
            x_first=x0,
            y_step=1 if y1 >= y0 else -1,
            x_step=1 if x1 >= x0 else -1,
            height=abs(y1 - y0) + 1,
            width=abs(x1 - x0) + 1,
        )

    @property
    def top(self) -> int:
        """First row in the image."""
        return self.y_first if self.y_step > 0 else self.y_first - self.height + 1

    @property
    def left(self) -> int:
        """First column in the image."""
        return self.x_first if self.x_step > 0 else self.x_first - self.width + 1

    def view(self, image: NDArray[Any]) -> NDArray[Any]:
        """Return a view of the module's rectangle, flipped such that the module's pixel (0, 0) is at [0, 0]."""
        rectangle = image[self.top : self.top + self.height, self.left : self.left + self.width]
        return rectangle[:: self.y_step, :: self.x_step]


@dataclass(frozen=True, slots=True)
class ChipGrid:
    """Grid of a module's chips in its rectangle, ``gap`` pixels apart in both directions.

    Parameters
    ----------
    rows, columns
        Number of rows and columns of the module's raw pixels.
    chip
        Edge length of the square chips, in pixels.
    gap
        Number of image pixels between two chips; there are no raw pixels for them.
    """

    rows: int
    columns: int
    chip: int
    gap: int

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the rectangle."""
        return self._placed(self.rows - 1) + 1, self._placed(self.columns - 1) + 1

    def place(self, raw: NDArray[Any], rectangle: NDArray[Any]) -> None:
        """Copy raw pixels into a module's rectangle (see `Placement.view`); the gaps stay unchanged."""
        for y in range(0, self.rows, self.chip):
            for x in range(0, self.columns, self.chip):
                self._chip_of(rectangle, y, x)[:] = raw[y : y + self.chip, x : x + self.chip]

    def take(self, rectangle: NDArray[Any]) -> NDArray[Any]:
        """Return the pixels of a rectangle without the gaps, (rows, columns); the inverse of `place`."""
        raw = np.empty((self.rows, self.columns), rectangle.dtype)
        for y in range(0, self.rows, self.chip):
            for x in range(0, self.columns, self.chip):
                raw[y : y + self.chip, x : x + self.chip] = self._chip_of(rectangle, y, x)
        return raw

    def fill(self, rectangle: NDArray[Any], value: object, first: int = 0, end: int | None = None) -> None:
        """Set all pixels of a rectangle except the gaps; of the rows from ``first`` up to but not including ``end``."""
        end = self.rows if end is None else end
        for y in range(0, self.rows, self.chip):
            top, bottom = max(y, first), min(y + self.chip, end)
            if top < bottom:
                for x in range(0, self.columns, self.chip):
                    left = self._placed(x)
                    rows = slice(self._placed(top), self._placed(bottom - 1) + 1)
                    rectangle[rows, left : left + min(self.chip, self.columns - x)] = value

    def _placed(self, index: int) -> int:
        return index + self.gap * (index // self.chip)

    def _chip_of(self, rectangle: NDArray[Any], y: int, x: int) -> NDArray[Any]:
        top, left = self._placed(y), self._placed(x)
        return rectangle[top : top + self.chip, left : left + self.chip]


def place_modules(config: DetectorConfig, sizes: Sequence[tuple[int, int]]) -> tuple[Placement, ...]:
    """Return the placement of every module.

    Parameters
    ----------
    config
        Configuration of the detector. For a detector of one module, ``module_positions`` may be empty; the module is
        then the whole image.
    sizes
        Allowed heights and widths of a module; all modules have the same size.

    Raises
    ------
    ConfigError
        A module has no position or a wrong size, or two modules overlap.
    """
    positions = dict(config.module_positions)
    if not positions and config.n_modules == 1:
        height, width = config.image_shape
        if (height, width) not in sizes:
            raise ConfigError(
                f"a module without position covers the whole image, but the image has {width} x {height} pixels",
                key="module_positions",
                remedy=f"give its position, or make the image {_sizes_in_words(sizes)} (image_pixel_width x height)",
            )
        positions[0] = (0, 0, width - 1, height - 1)
    missing = [module for module in range(config.n_modules) if module not in positions]
    if missing:
        raise ConfigError(
            f"modules without position: {', '.join(map(str, missing))}",
            key="module_positions",
            remedy=f"give [x0, y0, x1, y1] for each module from 0 to {config.n_modules - 1}",
        )
    placements = tuple(Placement.from_position(positions[module]) for module in range(config.n_modules))
    _check_sizes(config, placements, sizes)
    _check_overlaps(config, placements)
    return placements


def _check_sizes(config: DetectorConfig, placements: tuple[Placement, ...], sizes: Sequence[tuple[int, int]]) -> None:
    first = (placements[0].height, placements[0].width)
    allowed = [first] if first in sizes else sizes
    for module, placement in enumerate(placements):
        if (placement.height, placement.width) not in allowed:
            raise ConfigError(
                f"the module covers {placement.width} x {placement.height} pixels",
                key=f"module_positions.{module}",
                value=list(config.module_positions[module]),
                remedy=f"corners are inclusive: a module has {_sizes_in_words(allowed)} (width x height)",
            )


def _check_overlaps(config: DetectorConfig, placements: tuple[Placement, ...]) -> None:
    top = np.array([placement.top for placement in placements])
    left = np.array([placement.left for placement in placements])
    bottom = top + placements[0].height
    right = left + placements[0].width
    for module in range(1, len(placements)):
        others = slice(0, module)
        is_overlapping = (
            (top[others] < bottom[module])
            & (top[module] < bottom[others])
            & (left[others] < right[module])
            & (left[module] < right[others])
        )
        if is_overlapping.any():
            raise ConfigError(
                f"the module overlaps module {int(np.argmax(is_overlapping))}",
                key=f"module_positions.{module}",
                value=list(config.module_positions[module]),
                remedy="change the positions: a pixel of the image can belong to one module only",
            )


def _sizes_in_words(sizes: Sequence[tuple[int, int]]) -> str:
    return " or ".join(f"{width} x {height}" for height, width in sizes)
