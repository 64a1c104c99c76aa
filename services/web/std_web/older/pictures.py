"""Pictures (JPEG) of images, for the older interface."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.imaging.buffers.image_buffer import ImageBuffer
from std_daq.imaging.config.model import DetectorConfig
from std_daq.recording.id_ranges import consecutive_ranges
from std_web.filed_images.drawing import encoded
from std_web.filed_images.order import KeptParts

MAX_SIDE = 1024


def jpeg(pixels: NDArray[Any]) -> bytes:
    """Return a picture of an image, (height, width), of at most 1024 pixels each way: the maximum of each bin."""
    return encoded(pixels, MAX_SIDE, "jpeg")


def newest(ring: ImageBuffer) -> tuple[int, NDArray[Any]] | None:
    """Return the newest whole image of a ring with its sequence number; None if there is none."""
    for sequence in range(ring.journal.next_sequence - 1, max(-1, ring.journal.next_sequence - 4), -1):
        image = ring.view(sequence)
        copied = None if image is None else image.copy()
        if copied is not None:
            return sequence, copied.pixels
    return None


def module_map(config: DetectorConfig) -> NDArray[np.float32]:
    """Return the index of the module of each pixel, (height, width); NaN where there is none."""
    owners = np.full(config.image_shape, np.nan, np.float32)
    for module, (x0, y0, x1, y1) in config.module_positions.items():
        owners[min(y0, y1) : max(y0, y1) + 1, min(x0, x1) : max(x0, x1) + 1] = module
    return owners


def without_gaps(pixels: NDArray[Any], owners: NDArray[np.float32]) -> NDArray[Any]:
    """Return an image without the rows and columns that belong to no module."""
    rows, columns = _used(owners)
    if owners.shape != pixels.shape or not rows.any():
        return pixels
    return pixels[np.ix_(rows, columns)]


def used_parts(owners: NDArray[np.float32]) -> KeptParts | None:
    """Return the rows and columns that belong to modules; None if there are no modules."""
    rows, columns = _used(owners)
    return KeptParts(owners.shape, _ranges(rows), _ranges(columns)) if rows.any() else None


def _used(owners: NDArray[np.float32]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    is_used = np.isfinite(owners)
    return np.logical_or.reduce(is_used, axis=1), np.logical_or.reduce(is_used, axis=0)


def _ranges(flags: NDArray[np.bool_]) -> tuple[tuple[int, int], ...]:
    return tuple((first, last + 1) for first, last in consecutive_ranges(np.flatnonzero(flags).tolist()))
