"""Geometry of a JUNGFRAU module: 4 x 2 chips of 256 x 256 pixels, placed in the image with or without gaps."""

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.detectors.module_map import ChipGrid, Placement

ROWS, COLUMNS = 512, 1024
CHIP = 256
WITHOUT_GAPS = ChipGrid(ROWS, COLUMNS, chip=CHIP, gap=0)
WITH_GAPS = ChipGrid(ROWS, COLUMNS, chip=CHIP, gap=2)
MODULE_SIZES = (WITHOUT_GAPS.size, WITH_GAPS.size)
# For a module whose gap pixels hold values: no pixel of its rectangle counts as a gap.
WHOLE_RECTANGLE = ChipGrid(*WITH_GAPS.size, chip=max(WITH_GAPS.size), gap=0)


@dataclass(frozen=True, slots=True)
class FrameRows:
    """Rows of a module that are in the frames of a submodule.

    Parameters
    ----------
    module
        Index of the module.
    interface_first, interface_n
        First row of the module that the UDP interface would send if all rows were read, and number of these rows; its
        packets count from there.
    first, end
        First row that is read, and the row behind the last one.
    """

    module: int
    interface_first: int
    interface_n: int
    first: int
    end: int

    @property
    def n(self) -> int:
        """Number of rows."""
        return self.end - self.first

    def in_rectangle(self, grid: ChipGrid) -> tuple[int, int]:
        """Return first row and end in the module's rectangle; includes the gap rows that repeat an outermost row."""
        first, end = self.first + grid.gap * (self.first // grid.chip), self.end
        end += grid.gap * ((self.end - 1) // grid.chip)
        half_gap = grid.gap // 2
        return first - half_gap * (self.first == CHIP), end + half_gap * (self.end == CHIP)


def frame_rows(config: DetectorConfig, readnrows: int) -> tuple[FrameRows, ...]:
    """Return the rows of each submodule.

    Parameters
    ----------
    config
        Configuration of the detector.
    readnrows
        Number of rows that are read of each module, in the middle of the module.
    """
    n_interfaces = config.udp.numinterfaces
    height = ROWS // n_interfaces
    first, end = (ROWS - readnrows) // 2, (ROWS + readnrows) // 2
    return tuple(
        FrameRows(module, top, height, max(first, top), min(end, top + height))
        for module in range(config.n_modules)
        for top in range(0, ROWS, height)
    )


def grid_of(placement: Placement) -> ChipGrid:
    """Return the grid of chips for a module of this size."""
    return WITH_GAPS if (placement.height, placement.width) == WITH_GAPS.size else WITHOUT_GAPS


def copy_into_gaps(rectangle: NDArray[Any]) -> None:
    """Copy the pixels at the inner edges of chips into the gap pixels beside them; the module is (514, 1030)."""
    for axis_first in (rectangle.T, rectangle):
        for edge in range(CHIP - 1, len(axis_first) - 3, CHIP + 2):
            axis_first[edge + 1] = axis_first[edge]
            axis_first[edge + 2] = axis_first[edge + 3]
