"""Renderer: makes what windows show of a detector's images; clients that ask for the same share one result."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from std_daq.imaging.buffers.image import Image
from std_daq.imaging.display.kernels import MASKED, MISSING
from std_daq.imaging.display.reduction import (
    Histogram,
    ReducedImage,
    Region,
    RegionValues,
    clipped,
    histogram,
    measured,
    percentiles,
    reduced,
)
from std_daq.imaging.image_faults import describe_status
from std_web.live.live_images import LiveImages
from std_web.live.protocol import View

_MAX_RESULTS = 24
_ATTEMPTS = 3

Result = TypeVar("Result")
Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class RegionFacts:
    """What a region of an image is as a whole."""

    values: RegionValues
    percentiles: dict[float, float]
    histogram: Histogram | None


@dataclass(frozen=True, slots=True)
class Rendered:
    """An image as a window shows it.

    Attributes
    ----------
    place
        Which image it is.
    header
        What is said about it.
    image
        Its bins.
    facts
        What the region is as a whole.
    """

    place: Place
    header: dict[str, Any]
    image: ReducedImage
    facts: RegionFacts = field(repr=False)


class Renderer:
    """Reduces images of one source; used by one thread at a time.

    Parameters
    ----------
    source
        The images.
    """

    def __init__(self, source: LiveImages) -> None:
        self.source = source
        self._lock = threading.Lock()
        self._results: OrderedDict[Hashable, Any] = OrderedDict()

    def render(self, view: View) -> Rendered | None:
        """Return what a window shows; None if there is no image.

        Raises
        ------
        StdDaqError
            A file that the configuration names is wrong.
        """
        meaning = self.source.meaning()
        for _ in range(_ATTEMPTS):
            place = self.source.place(view.position)
            if place is None:
                return None
            image = self.source.image(place, is_kept=view.position != "newest")
            if image is None:
                continue
            mask = self._shared(("mask", place), lambda image=image: meaning.plane.of(image))  # type: ignore[misc]
            rendered = self._rendered(place, image, mask, view, meaning.saturation)
            if image.is_intact():
                return rendered
            self._forget(place)
        return None

    def _rendered(
        self, place: Place, image: Image, mask: NDArray[np.uint8], view: View, saturation: float | None
    ) -> Rendered:
        height, width = image.pixels.shape
        region = clipped(view.region or (0, 0, width, height), (height, width))
        size = (view.size[0], view.size[1])
        shown = self._shared(
            ("bins", place, region, size, view.reduce),
            lambda: reduced(image.pixels, mask, region, size, how=view.reduce, saturation=saturation),
        )
        facts = self._shared(("facts", place, region), lambda: _facts(image.pixels, mask, region))
        metadata = image.metadata
        header = {
            "region": list(region),
            "image_shape": [height, width],
            "sequence": image.sequence,
            "image_id": metadata.id,
            "time_ns": metadata.first_arrival_ns or metadata.assembled_ns,
            "status": "good" if image.is_good else describe_status(image.status),
            "missing_packets": metadata.n_missing_packets,
            "saturation": saturation,
            "n_pixels": facts.values.n,
            "min": facts.values.smallest,
            "max": facts.values.largest,
            "mean": facts.values.mean,
            "percentiles": {f"{at:g}": value for at, value in facts.percentiles.items()},
            "histogram": _histogram_document(facts.histogram) if view.histogram else None,
            "rois": [self._roi(place, image.pixels, mask, corners) for corners in view.rois],
            "cursor": None if view.cursor is None else _cursor(image.pixels, mask, region, view.cursor, saturation),
            "ring": self.source.span(),
        }
        return Rendered(place, header, shown, facts)

    def _roi(self, place: Place, pixels: NDArray[Any], mask: NDArray[np.uint8], corners: list[int]) -> dict[str, Any]:
        height, width = pixels.shape
        region = clipped(corners, (height, width))
        values = self._shared(("roi", place, region), lambda: measured(pixels, mask, region))
        return {
            "region": corners,
            "n_pixels": values.n,
            "sum": values.sum,
            "mean": values.mean,
            "min": values.smallest,
            "max": values.largest,
        }

    def _shared(self, key: Hashable, make: Callable[[], Result]) -> Result:
        with self._lock:
            if key in self._results:
                self._results.move_to_end(key)
                found: Result = self._results[key]
                return found
        made = make()
        with self._lock:
            self._results[key] = made
            while len(self._results) > _MAX_RESULTS:
                self._results.popitem(last=False)
        return made

    def forget(self) -> None:
        """Let go of all results; some of them may refer to the ring."""
        with self._lock:
            self._results.clear()

    def _forget(self, place: Place) -> None:
        """Forget what was made of an image that was overwritten meanwhile."""
        with self._lock:
            for key in [key for key in self._results if isinstance(key, tuple) and key[1] == place]:
                del self._results[key]


def _facts(pixels: NDArray[Any], mask: NDArray[np.uint8], region: Region) -> RegionFacts:
    values = measured(pixels, mask, region)
    at = percentiles(pixels, mask, region)
    return RegionFacts(values, at, histogram(pixels, mask, region, values, at))


def _histogram_document(found: Histogram | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "low": found.low,
        "high": found.high,
        "counts": found.counts.tolist(),
        "n_below": found.n_below,
        "n_above": found.n_above,
    }


def _cursor(
    pixels: NDArray[Any], mask: NDArray[np.uint8], region: Region, cursor: list[int], saturation: float | None
) -> dict[str, Any] | None:
    x, y = cursor
    height, width = pixels.shape
    if not (0 <= x < width and 0 <= y < height):
        return None

    def line(x0: int, y0: int, x1: int, y1: int) -> ReducedImage:
        return reduced(pixels, mask, (x0, y0, x1, y1), (x1 - x0, y1 - y0), saturation=saturation)

    x0, y0, x1, y1 = region
    here = line(x, y, x + 1, y + 1)
    return {
        "x": x,
        "y": y,
        "value": _values_that_count(here)[0],
        "flag": here.flags.item(),
        "row": _profile(line(x0, y, x1, y + 1), x0),
        "column": _profile(line(x, y0, x + 1, y1), y0),
    }


def _profile(line: ReducedImage, begin: int) -> dict[str, Any]:
    return {"begin": begin, "step": 1, "values": _values_that_count(line), "flags": line.flags.ravel().tolist()}


def _values_that_count(line: ReducedImage) -> list[int | float | None]:
    """Return the values of single pixels; None for those that are masked or missing."""
    values = line.values.ravel().tolist()
    has_none = (line.flags.ravel() & (MASKED | MISSING)).tolist()
    return [None if flag else value for value, flag in zip(values, has_none, strict=True)]
