"""Recorder: writes movie images into the PFF files of a run, as an acquisition does."""

import time
from pathlib import Path

import numpy as np

from std_benchmarks.viewing.acquisition import MODULE, PRODUCT, header_of_now
from std_benchmarks.viewing.clients import LAST
from std_daq.telescope.pff.writer import PffWriter

_START = "2025-01-02T03:04:05Z"


class Recorder:
    """One run of one module.

    Parameters
    ----------
    data_dir
        The folder of the modules.
    """

    def __init__(self, data_dir: Path) -> None:
        run = data_dir / f"module_{MODULE}" / f"obs_Benchmark.start_{_START}.runtype_sci-data.pffd"
        run.mkdir(parents=True)
        self._writer = PffWriter(run, PRODUCT, MODULE, _START)
        self._pixels = np.random.default_rng(0).integers(0, 4096, PRODUCT.shape, np.uint16)

    def send_one(self, first_pixel: int = 0) -> None:
        """Write an image, with the time of now in its header."""
        self._pixels[0, 0] = first_pixel
        self._writer.write(self._pixels, header_of_now())
        self._writer.flush()

    def send(self, n_images: int, rate_hz: float) -> float:
        """Write a series; returns how many seconds it took."""
        began = time.perf_counter()
        for i in range(n_images):
            time.sleep(max(0.0, began + i / rate_hz - time.perf_counter()))
            self.send_one(LAST if i == n_images - 1 else 0)
        return time.perf_counter() - began

    def close(self) -> None:
        """End the file."""
        self._writer.close()
