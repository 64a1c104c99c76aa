"""ImageBufferSource: the images of any detector of this platform."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from std_daq.errors import StdDaqError
from std_daq.telescope.config import ImageBufferConfig
from std_live_view.live_frame import FrameKey, LiveFrame
from std_live_view.sources.source import Publish, SourceState

if TYPE_CHECKING:
    from std_daq.imaging.buffers.image import Image
    from std_daq.imaging.buffers.image_reader import ImageReader

PRODUCT = "image"
Result = TypeVar("Result")
_WAIT_S = 0.1
_RETRY_S = 1.0
_MAX_VALUE = 2**32 - 1


class ImageBufferSource:
    """Reads the newest image of an ImageBuffer at each interval; the detector never waits for it.

    Parameters
    ----------
    config
        The buffer.
    folder
        Folder to which a relative path refers.
    interval_s
        Shortest time between two images.
    publish
        Takes the images.
    """

    def __init__(self, config: ImageBufferConfig, folder: Path, interval_s: float, publish: Publish) -> None:
        self._config = config
        self._path = folder / config.config
        self._interval_s = interval_s
        self._publish = publish
        self._thread = ThreadPoolExecutor(1, "image-buffer")
        self._images: ImageReader | None = None
        self.name = f"image_buffer {self._path}"
        self.state = SourceState()

    async def open(self) -> None:
        """Read the configuration; the buffer itself may come later. Raises ConfigError or SharedMemoryError."""
        from std_daq.imaging.buffers.image_reader import ImageReader

        self._images = await self._in_thread(lambda: ImageReader(self._path))

    async def run(self) -> None:
        """Deliver the newest images."""
        while True:
            started_s = time.monotonic()
            try:
                frame = await self._in_thread(self._newest)
                self.state.problem = (
                    "" if frame or self._has_ring else "there is no ImageBuffer: is the assembler running?"
                )
            except StdDaqError as error:
                self.state.problem = str(error)
                await asyncio.sleep(_RETRY_S)
                continue
            if frame is not None:
                self.state.n_frames += 1
                self._publish(frame)
                await asyncio.sleep(max(0.0, self._interval_s - (time.monotonic() - started_s)))

    async def close(self) -> None:
        """Release the buffer."""
        if self._images is not None:
            await self._in_thread(self._images.close)
            self._images = None
        await asyncio.to_thread(self._thread.shutdown)

    @property
    def _has_ring(self) -> bool:
        return self._images is not None and self._images.ring is not None

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _newest(self) -> LiveFrame | None:
        assert self._images is not None, "opened before"  # noqa: S101
        image = self._images.newest(_WAIT_S)
        return None if image is None else self._frame(image)

    def _frame(self, image: "Image") -> LiveFrame:
        pixels, n_binned = bin_to(image.pixels, self._config.max_pixels)
        header = {
            "image_id": image.id,
            "frame_index": image.frame_index,
            "pulse_id": image.pulse_id,
            "status": int(image.status),
            "missing_packets": int(image.metadata.n_missing_packets),
            "capture_ns": image.first_arrival_ns,
            "dtype": str(image.pixels.dtype),
            "binning": n_binned,
        }
        return LiveFrame(
            FrameKey(self._config.module_id, PRODUCT),
            is_pulse_height=False,
            header=header,
            pixels=as_integers(pixels),
            file=self._path.name,
            frame_number=image.id,
            server_ns=time.time_ns(),
        )


def bin_to(pixels: npt.NDArray[Any], max_pixels: int) -> tuple[npt.NDArray[Any], int]:
    """Return an image of at most so many pixels, and n: each of its pixels is the mean of n x n of the image.

    Rows and columns that do not fill a bin are left out.
    """
    height, width = pixels.shape
    n = 1
    while (height // n) * (width // n) > max_pixels:
        n += 1
    if n == 1:
        return pixels, 1
    cut = pixels[: height // n * n, : width // n * n]
    return cut.reshape(height // n, n, width // n, n).mean(axis=(1, 3)), n


def as_integers(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return pixels as the integers that a message takes: rounded; NaN and what is negative in a float image are 0."""
    if pixels.dtype.kind in "iu" and pixels.dtype.itemsize <= np.dtype(np.uint32).itemsize:
        return pixels
    whole: npt.NDArray[np.uint32] = np.rint(np.clip(np.nan_to_num(pixels, nan=0.0), 0, _MAX_VALUE)).astype(np.uint32)
    return whole
