"""Configurations of telescopes, and packets of their boards, written from the description of the wire format."""

import socket
import struct
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from std_daq.imaging.config.model import DetectorConfig
from std_daq.telescope.pff.product import PRODUCTS, Product

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


class Boards:
    """Sends the packets of some images, and knows what they must become."""

    def __init__(self, product: Product, udp_port: int) -> None:
        self._product = product
        self._address = ("127.0.0.1", udp_port)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def send(self, number: int, module: int) -> None:
        """Send an image: as pulse heights of a single board, or as those of four."""
        for quarter in self._product.quabos or (number % 4,):
            packet = board_packet(
                self._product.name,
                module=module,
                quarter=quarter,
                number=number,
                nsec=1000 * number + quarter,
                pixels=board_pixels(self._product.name, 100 * number + 10 * module + quarter),
            )
            self._socket.sendto(packet, self._address)

    def pixels(self, number: int, module: int) -> NDArray[Any]:
        """Return what the image must be, if the boards are not turned."""
        boards = {q: board_pixels(self._product.name, 100 * number + 10 * module + q) for q in range(4)}
        if not self._product.quabos:
            return boards[number % 4]
        return np.block([[boards[0], boards[1]], [boards[3], boards[2]]])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._socket.close()
