"""Acquisition: sends movie images into the Unix socket of a live view, as the acquisition of a telescope does."""

import socket
import time
from pathlib import Path
from typing import Any

import numpy as np

from std_benchmarks.viewing.clients import LAST
from std_daq.telescope.pff.header import HeaderForm
from std_daq.telescope.pff.product import PRODUCTS
from std_daq.telescope.pff.writer import encode_frame

PRODUCT = PRODUCTS["img16"]
MODULE = 1
_BOARDS = 4


class Acquisition:
    """One connection.

    Parameters
    ----------
    path
        The socket.
    """

    def __init__(self, path: Path) -> None:
        self._pixels = np.random.default_rng(0).integers(0, 4096, PRODUCT.shape, np.uint16)
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))

    def send_one(self, first_pixel: int = 0) -> None:
        """Send an image, with the time of now in its header."""
        self._pixels[0, 0] = first_pixel
        frame = encode_frame(self._pixels, header_of_now(), PRODUCT, HeaderForm.SOCKET)
        self._socket.sendall(MODULE.to_bytes(2, "big") + frame)

    def send(self, n_images: int, rate_hz: float) -> float:
        """Send a series; returns how many seconds it took, which is more than asked for where the server blocks."""
        began = time.perf_counter()
        for i in range(n_images):
            time.sleep(max(0.0, began + i / rate_hz - time.perf_counter()))
            self.send_one(LAST if i == n_images - 1 else 0)
        return time.perf_counter() - began

    def close(self) -> None:
        """Disconnect."""
        self._socket.close()


def header_of_now() -> dict[str, Any]:
    """Return the header of an image that all boards have sent just now."""
    now_us = time.time_ns() // 1000
    stamp = {"pkt_num": 0, "pkt_tai": 0, "pkt_nsec": 0, "tv_sec": now_us // 10**6, "tv_usec": now_us % 10**6}
    return {f"quabo_{board}": stamp for board in range(_BOARDS)}
