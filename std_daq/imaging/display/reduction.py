"""Reduction: what a window shows of an image, and what people ask about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from std_daq.imaging.display.kernels import MISSING, SATURATED, count_values, measure, reduce_bins

Reduction = Literal["max", "mean"]
Region = tuple[int, int, int, int]
"""Corners x0, y0, x1, y1 in pixels; x1 and y1 are the first column and row that do not belong to it."""

PERCENTILES = (0.1, 1.0, 5.0, 50.0, 95.0, 99.0, 99.9, 99.99)
MAX_BINS = 512
_SAMPLE = 1 << 18  # pixels; of more, the percentiles change less than the eye sees


@dataclass(frozen=True, slots=True)
class ReducedImage:
    """A region of an image in as many bins as a window has pixels, or fewer.

    Attributes
    ----------
    region
        What is shown.
    values
        Value of each bin, (rows, columns): of the image's type for maxima of integers, else float32. A bin without a
        pixel that counts has 0 or NaN.
    flags
        MISSING, MASKED, SATURATED or 0 of each bin, (rows, columns).
    """

    region: Region
    values: NDArray[Any]
    flags: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class RegionValues:
    """The pixels of a region that count: how many, their sum, and the smallest and largest; None of no pixels."""

    n: int
    sum: float
    smallest: float | None
    largest: float | None

    @property
    def mean(self) -> float | None:
        """Mean of the pixels; None if there are none."""
        return self.sum / self.n if self.n else None


@dataclass(frozen=True, slots=True)
class Histogram:
    """Numbers of pixels by their value.

    Attributes
    ----------
    low, high
        Ends of the bins; a pixel with the value ``high`` is above them.
    counts
        Of the bins, (n,).
    n_below, n_above
        Pixels below the first bin, and above the last one.
    """

    low: float
    high: float
    counts: NDArray[np.int64]
    n_below: int
    n_above: int


def clipped(region: Sequence[int], shape: tuple[int, int]) -> Region:
    """Return the part of a region that lies in an image of this height and width; at least one pixel."""
    height, width = shape
    x0, y0, x1, y1 = region
    x0, y0 = min(max(0, x0), width - 1), min(max(0, y0), height - 1)
    return x0, y0, min(max(x0 + 1, x1), width), min(max(y0 + 1, y1), height)


def part(plane: NDArray[Any], region: Region) -> NDArray[Any]:
    """Return a view of a region."""
    x0, y0, x1, y1 = region
    return plane[y0:y1, x0:x1]


def reduced(
    pixels: NDArray[Any],
    mask: NDArray[np.uint8],
    region: Region,
    size: tuple[int, int],
    *,
    how: Reduction = "max",
    saturation: float | None = None,
) -> ReducedImage:
    """Return a region in at most as many bins as a window has pixels.

    Parameters
    ----------
    pixels, mask
        The image and its `MaskPlane`, (height, width).
    region
        What is shown; it must lie in the image.
    size
        Width and height of the window, in pixels. A region that is smaller is returned pixel by pixel.
    how
        What a bin becomes of its pixels. With the maximum, a single bright pixel is seen in every size.
    saturation
        Value from which on a pixel is saturated; None if the detector has no such limit.
    """
    shown, masked = _countable(part(pixels, region)), part(mask, region)
    height, width = shown.shape
    limit = np.inf if saturation is None else saturation
    columns, rows = min(width, max(1, size[0])), min(height, max(1, size[1]))
    if (rows, columns) == (height, width):
        return ReducedImage(region, _plain(shown), _flags(shown, masked, limit))
    values, flags = np.empty((rows, columns)), np.empty((rows, columns), np.uint8)
    whole, of_whole, (x0, y0) = (pixels, mask, region[:2]) if _is_plain(pixels, mask) else (shown, masked, (0, 0))
    reduce_bins(
        np.ascontiguousarray(whole),
        np.ascontiguousarray(of_whole),
        y0 + _edges(height, rows),
        x0 + _edges(width, columns),
        limit,
        how == "mean",
        values,
        flags,
        np.empty((3, width)),
        np.empty(width, np.uint8),
    )
    return ReducedImage(region, _as_type(values, shown.dtype, how), flags)


def measured(pixels: NDArray[Any], mask: NDArray[np.uint8], region: Region) -> RegionValues:
    """Return what the pixels of a region are together; the region must lie in the image."""
    found = np.empty(4)
    measure(_countable(part(pixels, region)), part(mask, region), found)
    n, total, smallest, largest = found.tolist()
    return RegionValues(int(n), total, smallest if n else None, largest if n else None)


def percentiles(pixels: NDArray[Any], mask: NDArray[np.uint8], region: Region) -> dict[float, float]:
    """Return the PERCENTILES of a region, of an evenly spread sample if it is large; empty if no pixel counts."""
    step = max(1, int(np.sqrt((region[2] - region[0]) * (region[3] - region[1]) / _SAMPLE)))
    shown = part(pixels, region)[::step, ::step]
    values = shown[(part(mask, region)[::step, ::step] == 0) & np.isfinite(shown)]
    if not values.size:
        return {}
    found = np.percentile(values, PERCENTILES, method="nearest")
    return dict(zip(PERCENTILES, found.astype(np.float64).tolist(), strict=True))


def histogram(
    pixels: NDArray[Any], mask: NDArray[np.uint8], region: Region, of_all: RegionValues, at: dict[float, float]
) -> Histogram | None:
    """Return the histogram of a region; None if no pixel counts.

    The bins end where nearly all pixels do, so that a few hot ones do not press all others into the first bin. Bins of
    integers are whole numbers wide.

    Parameters
    ----------
    pixels, mask, region
        As for `reduced`.
    of_all, at
        What `measured` and `percentiles` return for the region.
    """
    if of_all.smallest is None or of_all.largest is None or not at:
        return None
    shown = _countable(part(pixels, region))
    low, high = of_all.smallest, min(of_all.largest, at[99.99] + (at[99.9] - at[1.0]))
    if shown.dtype.kind in "iu":
        low, high = np.floor(low), np.floor(high) + 1
        width = max(1.0, np.ceil((high - low) / MAX_BINS))
        n_bins = int(np.ceil((high - low) / width))
        high = low + n_bins * width
    else:
        n_bins = MAX_BINS
        high = float(np.nextafter(high, np.inf)) if high > low else low + max(abs(low), 1.0) * 1e-6
    counts = np.empty(n_bins + 2, np.int64)
    count_values(shown, part(mask, region), float(low), float(high), counts)
    return Histogram(float(low), float(high), counts[1:-1], int(counts[0]), int(counts[-1]))


def _countable(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return pixels of a type that the kernels know."""
    if pixels.dtype.name in {"int8", "float16"}:
        return pixels.astype(np.int16 if pixels.dtype.kind == "i" else np.float32)
    return pixels.astype(np.float64) if pixels.dtype.name in {"int64", "uint64"} else pixels


def _is_plain(pixels: NDArray[Any], mask: NDArray[np.uint8]) -> bool:
    """Return whether the kernels take the whole image as it is, without a copy."""
    return pixels.flags.c_contiguous and mask.flags.c_contiguous and _countable(pixels[:0]).dtype == pixels.dtype


def _edges(n_pixels: int, n_bins: int) -> NDArray[np.int64]:
    """Return the first pixel of each bin, and the end: pixel i belongs to bin ``floor(i * n_bins / n_pixels)``."""
    return -(-np.arange(n_bins + 1, dtype=np.int64) * n_pixels // n_bins)


def _flags(pixels: NDArray[Any], mask: NDArray[np.uint8], limit: float) -> NDArray[np.uint8]:
    is_number = np.isfinite(pixels)
    flags = np.where((mask == 0) & ~is_number, np.uint8(MISSING), mask)
    flags[(flags == 0) & (pixels >= limit)] = SATURATED
    return flags


def _plain(pixels: NDArray[Any]) -> NDArray[Any]:
    return pixels.astype(np.float32) if pixels.dtype.kind == "f" else np.ascontiguousarray(pixels).copy()


def _as_type(values: NDArray[np.float64], dtype: np.dtype[Any], how: Reduction) -> NDArray[Any]:
    if how == "mean" or dtype.kind == "f":
        return values.astype(np.float32)
    return np.nan_to_num(values, copy=False, nan=0.0).astype(dtype)
