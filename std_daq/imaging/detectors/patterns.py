"""Patterns of simulated images, which all detectors share; each detector converts them into its raw pixels."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

# A sender needs images faster than they can be computed; therefore a few images are computed and repeated.
CYCLE_BYTES = 128 * 2**20
MAX_CYCLE_IMAGES = 16


def cycle_images(make: Callable[[int], NDArray[Any]]) -> Iterator[NDArray[Any]]:
    """Repeat images 0 to n - 1 of a pattern without end; each is made when it is first asked for.

    n is from 2 to `MAX_CYCLE_IMAGES`; within these limits, the images fill at most `CYCLE_BYTES`.

    Parameters
    ----------
    make
        Returns the image with an index; called once for each index.
    """
    images: list[NDArray[Any]] = []
    while not images or len(images) < _cycle_length(images[0]):
        image = make(len(images))
        image.flags.writeable = False
        images.append(image)
        yield image
    yield from itertools.cycle(images)


def made_ahead(images: Iterator[NDArray[Any]], n_images: int = MAX_CYCLE_IMAGES) -> Iterator[NDArray[Any]]:
    """Return the same images, but make those of a cycle now, so that a sender does not wait for them.

    Parameters
    ----------
    images
        At least one image.
    n_images
        How many are wanted; no more than these are made.
    """
    first = next(images)
    n_more = min(n_images, _cycle_length(first)) - 1
    return itertools.chain([first, *itertools.islice(images, max(n_more, 0))], images)


def _cycle_length(image: NDArray[Any]) -> int:
    return min(max(CYCLE_BYTES // max(image.nbytes, 1), 2), MAX_CYCLE_IMAGES)


def counter_image(shape: tuple[int, int, int], index: int, seed: int) -> NDArray[np.uint32]:
    """Return numbers that differ between neighbours, rows, modules and images, so that any misplaced pixel shows.

    Parameters
    ----------
    shape
        Number of modules, rows and columns.
    index, seed
        Number of the image, and number of the series of images.
    """
    n_pixels = int(np.prod(shape))
    number: NDArray[np.uint32] = np.arange(n_pixels, dtype=np.uint32).reshape(shape)
    number += np.uint32((index * 0x85EBCA6B + seed * 0xC2B2AE35) & 0xFFFFFFFF)
    number *= np.uint32(0x9E3779B1)  # an odd factor, so that no two pixels of an image have the same number
    number ^= number >> np.uint32(15)
    return number


def gradient_image(shape: tuple[int, int, int], index: int) -> NDArray[np.uint32]:
    """Return a smooth ramp along columns and rows, which shifts from module to module and from image to image."""
    module, row, column = np.ogrid[: shape[0], : shape[1], : shape[2]]
    ramp: NDArray[np.uint32] = (column + 2 * row + 64 * module + 16 * index).astype(np.uint32)
    return ramp


class PhotonScene:
    """Photons on a detector: a background that falls off from the beam, two powder rings, and Bragg-like spots.

    Parameters
    ----------
    shape
        Height and width of the image.
    seed
        Seed of the random numbers; scenes with the same seed are equal.
    center
        Beam centre x, y in pixels; by default the middle of the image.
    """

    def __init__(self, shape: tuple[int, int], seed: int, center: Sequence[float] | None = None) -> None:
        height, width = shape
        x_center, y_center = center or (width / 2, height / 2)
        y, x = np.ogrid[:height, :width]
        radius = np.hypot(y - y_center, x - x_center).astype(np.float32)
        scale = max(height, width) / 2
        expected = 0.05 + 2 * np.exp(-radius / (scale / 3))
        for ring in (0.35, 0.7):
            expected += 3 * np.exp(-(((radius - ring * scale) / (0.01 * scale + 1)) ** 2))
        self._expected: NDArray[np.float32] = expected.astype(np.float32)
        self._seed = seed

    def counts(self, index: int) -> NDArray[np.uint32]:
        """Return the number of photons in each pixel of an image, (height, width)."""
        rng = np.random.default_rng([self._seed, index])
        counts = rng.poisson(self._expected).astype(np.uint32)
        height, width = counts.shape
        n_spots = max(height * width // 20_000, 3)
        peaks = rng.integers(50, 5000, n_spots)
        for peak, y, x in zip(peaks, rng.integers(0, height, n_spots), rng.integers(0, width, n_spots), strict=True):
            rows = np.arange(max(y - 3, 0), min(y + 4, height))
            columns = np.arange(max(x - 3, 0), min(x + 4, width))
            profile = np.exp(-((rows[:, None] - y) ** 2 + (columns - x) ** 2) / 2)
            spot = rng.poisson(peak * profile).astype(np.uint32)
            counts[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] += spot
        return counts
