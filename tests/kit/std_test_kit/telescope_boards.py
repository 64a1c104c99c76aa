"""Configurations of telescopes, and packets of their boards, written from the description of the wire format."""

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.imaging.config.model import DetectorConfig
from std_daq.telescope.pff.product import PRODUCTS

_HEADER = struct.Struct("<BBHBBIIxx")
MODES = {"ph256": 1, "ph1024": 1, "img16": 2, "img8": 6}


def telescope_document(product: str, name: str = "telescope", **options: Any) -> dict[str, Any]:
    """Return the configuration of a telescope as a document."""
    shape, dtype = PRODUCTS[product].shape, PRODUCTS[product].dtype
    return {
        "detector_name": name,
        "detector_type": "telescope",
        "n_modules": 1 if shape == (16, 16) else 4,
        "bit_depth": 8 * dtype.itemsize,
        "image_pixel_height": shape[0],
        "image_pixel_width": shape[1],
        "start_udp_port": 60001,
        "detector": {"product": product, **options},
    }


def telescope_config(product: str, **options: Any) -> DetectorConfig:
    """Return the configuration of a telescope."""
    return DetectorConfig.model_validate(telescope_document(product, **options))


def board_pixels(product: str, seed: int) -> NDArray[Any]:
    """Return pixels of one board over the whole range of values, (16, 16)."""
    dtype = PRODUCTS[product].dtype
    limits = np.iinfo(dtype)
    return np.random.default_rng(seed).integers(limits.min, limits.max, (16, 16), dtype, endpoint=True)


def board_packet(
    product: str,
    *,
    module: int = 1,
    quarter: int = 0,
    number: int = 0,
    tai: int = 100,
    nsec: int = 0,
    pixels: NDArray[Any] | None = None,
    mode: int | None = None,
    version: int = 1,
) -> bytes:
    """Return a packet; its header is built byte by byte, independent of the description that is under test."""
    header = _HEADER.pack(
        MODES[product] if mode is None else mode, version, number, module % 64 * 4 + quarter, module // 64, tai, nsec
    )
    return header + (board_pixels(product, 0) if pixels is None else pixels).tobytes()
