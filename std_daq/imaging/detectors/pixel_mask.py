"""The NXmx pixel mask, as far as it follows from the geometry."""

from collections.abc import Sequence
from enum import IntFlag

import numpy as np
from numpy.typing import NDArray

from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.detectors.module_map import ChipGrid, Placement


class MaskBit(IntFlag):
    """Bits of the NXmx pixel mask; the mask of a good pixel is 0."""

    GAP = 1 << 0
    DEAD = 1 << 1
    UNDER_RESPONDING = 1 << 2
    OVER_RESPONDING = 1 << 3
    NOISY = 1 << 4
    USER = 1 << 8
    VIRTUAL = 1 << 31


def gap_pixels(shape: tuple[int, int], placements: Sequence[Placement], grid: ChipGrid) -> NDArray[np.bool_]:
    """Return for each pixel of an image (height, width) whether it belongs to no chip."""
    is_gap = np.ones(shape, np.bool_)
    for placement in placements:
        grid.fill(placement.view(is_gap), False)
    return is_gap


def geometric_pixel_mask(config: DetectorConfig, placements: Sequence[Placement], grid: ChipGrid) -> NDArray[np.uint32]:
    """Return the mask, (height, width), in which gaps are marked, and modules that are off are marked as dead."""
    mask = gap_pixels(config.image_shape, placements, grid).astype(np.uint32) * np.uint32(MaskBit.GAP)
    for module in config.deactivate:
        grid.fill(placements[module].view(mask), MaskBit.DEAD)
    return mask
