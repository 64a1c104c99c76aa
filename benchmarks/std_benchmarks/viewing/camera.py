"""Camera: publishes images in an ImageBuffer, as an assembler does."""

import time
from pathlib import Path

import numpy as np

from std_benchmarks.viewing.clients import LAST
from std_daq.imaging.buffers.image_buffer import ImageBuffer
from std_daq.imaging.protocols.image_metadata import IMAGE_METADATA, dtype_code

SHAPE = (2048, 2048)
_MEAN_COUNTS = 200
_N_SLOTS = 8


class Camera:
    """A detector of 4 Mpixel and 16 bits.

    Parameters
    ----------
    path
        Where the ring is made.
    """

    def __init__(self, path: Path) -> None:
        self._ring, _ = ImageBuffer.create(
            path, shape=SHAPE, dtype=np.dtype("u2"), n_modules=1, buffer_bytes=0, n_slots=_N_SLOTS
        )
        self._ring.segment.lock(0, "the camera")
        pixels = np.random.default_rng(0).poisson(_MEAN_COUNTS, SHAPE).astype(np.uint16)
        self._ring.data[:] = np.frombuffer(pixels, np.uint8).reshape(self._ring.data.shape[1:])
        self._metadata = np.zeros(1, IMAGE_METADATA)
        self._metadata["height"], self._metadata["width"] = SHAPE
        self._metadata["dtype"] = dtype_code(self._ring.dtype)

    def send_one(self, first_pixel: int = 0) -> None:
        """Publish an image, which has come just now."""
        sequence = self._ring.journal.next_sequence
        metadata = self._metadata
        metadata["id"] = metadata["frame_index"] = metadata["sequence"] = sequence
        metadata["first_arrival_ns"] = metadata["assembled_ns"] = time.time_ns()
        slot = self._ring.slot(sequence)
        self._ring.begin(slot)
        self._ring.data[slot].view(np.uint16).reshape(-1)[0] = first_pixel
        self._ring.headers["metadata"][slot] = metadata[0]
        self._ring.end(slot)
        self._ring.journal.append(metadata)

    def send(self, n_images: int, rate_hz: float) -> float:
        """Publish a series; returns how many seconds it took."""
        began = time.perf_counter()
        for i in range(n_images):
            time.sleep(max(0.0, began + i / rate_hz - time.perf_counter()))
            self.send_one(LAST if i == n_images - 1 else 0)
        return time.perf_counter() - began

    def close(self) -> None:
        """Remove the ring."""
        self._ring.close()
