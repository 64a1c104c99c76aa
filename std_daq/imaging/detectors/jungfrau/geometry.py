"""Geometry of a JUNGFRAU module: 4 x 2 chips of 256 x 256 pixels, placed in the image with or without gaps."""

from typing import Any

from numpy.typing import NDArray

from std_daq.imaging.detectors.module_map import ChipGrid, Placement

ROWS, COLUMNS = 512, 1024
CHIP = 256
WITHOUT_GAPS = ChipGrid(ROWS, COLUMNS, chip=CHIP, gap=0)
WITH_GAPS = ChipGrid(ROWS, COLUMNS, chip=CHIP, gap=2)
MODULE_SIZES = (WITHOUT_GAPS.size, WITH_GAPS.size)
# For a module whose gap pixels hold values: no pixel of its rectangle counts as a gap.
WHOLE_RECTANGLE = ChipGrid(*WITH_GAPS.size, chip=max(WITH_GAPS.size), gap=0)


def grid_of(placement: Placement) -> ChipGrid:
    """Return the grid of chips for a module of this size."""
    return WITH_GAPS if (placement.height, placement.width) == WITH_GAPS.size else WITHOUT_GAPS


def copy_into_gaps(rectangle: NDArray[Any]) -> None:
    """Copy the pixels at the inner edges of chips into the gap pixels beside them; the module is (514, 1030)."""
    for axis_first in (rectangle.T, rectangle):
        for edge in range(CHIP - 1, len(axis_first) - 3, CHIP + 2):
            axis_first[edge + 1] = axis_first[edge]
            axis_first[edge + 2] = axis_first[edge + 3]
