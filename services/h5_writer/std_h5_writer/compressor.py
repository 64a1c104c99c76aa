"""OrderedCompressor: compresses images of the ring in several threads, and returns them in order."""

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from std_daq.imaging.buffers.image import Image
from std_daq.imaging.buffers.image_buffer import ImageBuffer
from std_daq.imaging.files import compression
from std_h5_writer.ring_reader import RunImage

_PLACES_PER_THREAD = 2


class OrderedCompressor:
    """Compresses images with bitshuffle and LZ4 or Zstandard into buffers that are allocated once.

    All methods must be called from the same thread. The number of images in flight is bounded: when the compressor
    `is_full`, the caller must `take` the oldest image before it submits another.

    Parameters
    ----------
    n_threads
        Number of images that are compressed at the same time.
    """

    def __init__(self, n_threads: int) -> None:
        compression.library_path()  # raises ResourceError here, not only in the first run
        self._threads = ThreadPoolExecutor(n_threads, thread_name_prefix="compress")
        self._n_places = _PLACES_PER_THREAD * n_threads
        self._buffers = [np.empty(0, np.uint8) for _ in range(self._n_places)]
        self._n_submitted = 0
        self._in_flight: deque[tuple[RunImage[Image, ImageBuffer], NDArray[np.uint8], Future[int]]] = deque()

    @property
    def n_in_flight(self) -> int:
        """Images that are submitted and not yet taken."""
        return len(self._in_flight)

    @property
    def is_full(self) -> bool:
        """Whether an image must be taken before the next one is submitted."""
        return len(self._in_flight) == self._n_places

    def submit(self, run_image: RunImage[Image, ImageBuffer], zstd_level: int | None) -> None:
        """Start to compress an image; the chunk that `take` returned last must not be used any more."""
        pixels = run_image.image.pixels
        n_bytes = compression.bound(pixels.nbytes, pixels.itemsize, zstd_level)
        place = self._n_submitted % self._n_places
        if self._buffers[place].nbytes != n_bytes:
            self._buffers[place] = np.empty(n_bytes, np.uint8)
        buffer = self._buffers[place]
        self._n_submitted += 1
        future = self._threads.submit(_compress, run_image.image, buffer, zstd_level)
        self._in_flight.append((run_image, buffer, future))

    def take(self) -> tuple[RunImage[Image, ImageBuffer], NDArray[np.uint8] | None]:
        """Wait for the oldest image, and return it with its chunk; with None if it was overwritten meanwhile."""
        run_image, buffer, future = self._in_flight.popleft()
        n_bytes = future.result()
        return run_image, buffer[:n_bytes] if n_bytes else None

    def close(self) -> None:
        """Stop the threads."""
        self._threads.shutdown(cancel_futures=True)
        self._in_flight.clear()


def _compress(image: Image, buffer: NDArray[np.uint8], zstd_level: int | None) -> int:
    """Compress an image, and return the length of the chunk; 0 if the image did not stay intact."""
    n_bytes = compression.compress_into(image.pixels, buffer, zstd_level)
    return n_bytes if image.is_intact() else 0
