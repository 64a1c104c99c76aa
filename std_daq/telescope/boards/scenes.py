"""What simulated boards of a telescope see."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.imaging.detectors.patterns import counter_image, cycle_images, gradient_image
from std_daq.telescope.boards.packets import EDGE
from std_daq.telescope.pff.product import Product

PATTERNS = ("showers", "counter", "gradient", "dark")
_NOISE = 5.0
_SKY = 20.0


def simulated_boards(product: Product, pattern: str, seed: int) -> Iterator[NDArray[Any]]:
    """Yield the raw pixels of the boards of an image, (n_boards, 16, 16), image by image and without end.

    ``showers`` are flashes of light on noise: pulse heights go below 0, movie images lie on the light of the sky.
    ``counter`` and ``gradient`` wrap around at the bits of a pixel.
    """
    shape = (product.n_packets, EDGE, EDGE)
    unsigned = np.dtype(f"<u{product.dtype.itemsize}")
    largest = np.uint32(np.iinfo(unsigned).max)
    if pattern == "counter":
        return cycle_images(
            lambda index: (counter_image(shape, index, seed) & largest).astype(unsigned).view(product.dtype)
        )
    if pattern == "gradient":
        return cycle_images(lambda index: (gradient_image(shape, index) & largest).astype(unsigned).view(product.dtype))
    if pattern == "dark":
        return cycle_images(lambda _: np.zeros(shape, product.dtype))
    return cycle_images(lambda index: _shower(product, np.random.default_rng([seed, index])))


def _shower(product: Product, rng: np.random.Generator) -> NDArray[Any]:
    """Return one flash: an ellipse of light with tails, at any place of the boards."""
    n_boards = product.n_packets
    row, column = np.ogrid[:EDGE, : n_boards * EDGE]
    y, x = rng.uniform(0, EDGE), rng.uniform(0, n_boards * EDGE)
    angle = rng.uniform(0, np.pi)
    along = (column - x) * np.cos(angle) + (row - y) * np.sin(angle)
    across = (row - y) * np.cos(angle) - (column - x) * np.sin(angle)
    limits = np.iinfo(product.dtype)
    peak = rng.uniform(0.05, 0.3) * limits.max
    light = peak * np.exp(-(along**2) / 18 - across**2 / 4)
    background = rng.normal(0.0 if product.is_pulse_height else _SKY, _NOISE, light.shape)
    pixels: NDArray[Any] = np.clip(np.rint(light + background), limits.min, limits.max).astype(product.dtype)
    return np.ascontiguousarray(pixels.reshape(EDGE, n_boards, EDGE).swapaxes(0, 1))
