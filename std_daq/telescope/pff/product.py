"""Product: a kind of frame, with its shape and pixels; the four that a telescope stores."""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Product:
    """A kind of frame.

    Parameters
    ----------
    name
        Name in file names, for example ``ph256``.
    shape
        Rows and columns.
    dtype
        Type of a pixel, with its byte order.
    is_pulse_height
        Whether the pixels are pulse heights; else they are counts of an integration time.
    """

    name: str
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    is_pulse_height: bool

    @property
    def n_pixels(self) -> int:
        """Number of pixels."""
        return self.shape[0] * self.shape[1]

    @property
    def image_bytes(self) -> int:
        """Size of the pixels of a frame in bytes."""
        return self.n_pixels * self.dtype.itemsize

    @property
    def quabos(self) -> tuple[int, ...]:
        """The quarter boards of which a header tells; empty where a frame comes from a single one."""
        return (0, 1, 2, 3) if self.shape == (32, 32) else ()

    @property
    def n_packets(self) -> int:
        """Number of packets of which a header tells."""
        return len(self.quabos) or 1


PRODUCTS = {
    product.name: product
    for product in (
        Product("img8", (32, 32), np.dtype("u1"), is_pulse_height=False),
        Product("img16", (32, 32), np.dtype("<u2"), is_pulse_height=False),
        Product("ph256", (16, 16), np.dtype("<i2"), is_pulse_height=True),
        Product("ph1024", (32, 32), np.dtype("<i2"), is_pulse_height=True),
    )
}
"""All products by name."""


def product_of(*, is_pulse_height: bool, shape: tuple[int, ...], bytes_per_pixel: int) -> Product | None:
    """Return the product of this kind; None if there is none."""
    for product in PRODUCTS.values():
        kind = (product.is_pulse_height, product.shape, product.dtype.itemsize)
        if kind == (is_pulse_height, shape, bytes_per_pixel):
            return product
    return None
