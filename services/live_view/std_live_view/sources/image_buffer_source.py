"""ImageBufferSource: the images of any detector of this platform; those of a telescope as its frames."""

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from std_daq.errors import ConfigError, StdDaqError
from std_daq.telemetry.logs import ConditionLog
from std_daq.telescope.config import ImageBufferConfig
from std_daq.telescope.pff.product import Product
from std_live_view.call_thread import CallThread
from std_live_view.live_frame import FrameKey, LiveFrame
from std_live_view.sources.source import Publish, SourceState, telescope_frame

if TYPE_CHECKING:
    from std_daq.imaging.buffers.image import Image
    from std_daq.imaging.buffers.image_reader import ImageReader

PRODUCT = "image"
MAX_IMAGES_AT_ONCE = 64
"""As many images of a telescope are delivered after a time in which none was read."""
_WAIT_S = 0.1
_RETRY_S = 1.0
_MAX_VALUE = 2**32 - 1


class ImageBufferSource:
    """Reads an ImageBuffer; the detector never waits for it.

    Of a telescope it delivers each image, under the module from which it comes, with the header and the pixels that the
    acquisition would give it. If more than `MAX_IMAGES_AT_ONCE` have come, the oldest are left out. Of other detectors
    it delivers the newest image at each interval, as a movie image of the module that the configuration names.

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
        self._thread = CallThread("image-buffer")
        self._images: ImageReader | None = None
        self._product: Product | None = None
        self._has_begun = False
        self._conditions = ConditionLog()
        self.name = f"image_buffer {self._path}"
        self.state = SourceState()

    async def open(self) -> None:
        """Read the configuration; the buffer itself may come later. Raises ConfigError or SharedMemoryError."""
        await self._thread.run(self._open)

    def _open(self) -> None:
        from std_daq.imaging.buffers.image_reader import ImageReader

        self._product = product_of_buffer(self._path)
        if self._product is None and self._config.module_id is None:
            raise ConfigError(
                "images of this detector tell no module",
                file=self._path,
                key="sources.image_buffers.module_id",
                remedy="give the number under which clients find them",
            )
        self._images = ImageReader(self._path)
        self._has_begun = False

    async def run(self) -> None:
        """Deliver the images."""
        while True:
            started_s = time.monotonic()
            try:
                frames = await self._thread.run(self._read)
                self.state.problem = "" if frames else self._why_none()
            except StdDaqError as error:
                self.state.problem = str(error)
                await asyncio.sleep(_RETRY_S)
                continue
            for frame in frames:
                self.state.n_frames += 1
                self._publish(frame)
            if frames and self._product is None:
                await asyncio.sleep(max(0.0, self._interval_s - (time.monotonic() - started_s)))

    async def close(self) -> None:
        """Release the buffer."""
        if self._images is not None:
            await self._thread.run(self._images.close)
            self._images = None
        await self._thread.close()

    def _why_none(self) -> str:
        ring = None if self._images is None else self._images.ring
        if ring is None:
            return "there is no ImageBuffer: is the assembler running?"
        return "" if ring.segment.has_writer else "nobody writes into the ImageBuffer: the assembler has ended"

    def _read(self) -> list[LiveFrame]:
        images = self._images
        assert images is not None, "opened before"  # noqa: S101
        if self._product is None or not self._has_begun:
            image = images.newest(_WAIT_S)
            self._has_begun = image is not None
            return [] if image is None else [self._frame(image)]
        if not images.wait(_WAIT_S):
            return []
        n_left_out = images.skip(MAX_IMAGES_AT_ONCE) if images.lag > MAX_IMAGES_AT_ONCE else 0
        if n_left_out:
            self._conditions.warning("images_left_out", buffer=str(self._path), n=n_left_out)
        read = (images.next(0.0) for _ in range(MAX_IMAGES_AT_ONCE))
        return [self._frame(image) for image in read if image is not None]

    def _frame(self, image: "Image") -> LiveFrame:
        return self._own_frame(image) if self._product is None else frame_of_telescope(image, self._product)

    def _own_frame(self, image: "Image") -> LiveFrame:
        assert self._config.module_id is not None, "checked when it was opened"  # noqa: S101
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


def product_of_buffer(path: Path) -> Product | None:
    """Return the product of a telescope, given its detector.json; None for other detectors, and for a mere ring.

    Raises
    ------
    ConfigError
        The configuration is wrong.
    """
    if path.suffix != ".json":
        return None
    from std_daq.imaging.config.load import load_config
    from std_daq.imaging.detectors.registry import open_detector
    from std_daq.telescope.boards import Telescope

    detector = open_detector(load_config(path))
    return detector.product if isinstance(detector, Telescope) else None


def frame_of_telescope(image: "Image", product: Product) -> LiveFrame:
    """Return the frame of a telescope's image, as the acquisition would send it."""
    from std_daq.telescope.boards.stamps import header_of_entries

    return telescope_frame(
        product,
        image.metadata.source_id,
        header_of_entries(image.modules, product),
        image.pixels.tobytes(),
        f"udp_{product.name}",
        image.frame_index,
    )


def bin_to(pixels: npt.NDArray[Any], max_pixels: int) -> tuple[npt.NDArray[Any], int]:
    """Return an image of at most so many pixels, and n: each of its pixels is the mean of n x n of the image.

    Integers keep their type, and so their sign. Of floating-point numbers, NaN and infinite ones, which stand for
    bad pixels, do not count; a bin of nothing else is NaN. Rows and columns that do not fill a bin are left out.
    """
    height, width = pixels.shape
    n = 1
    while (height // n) * (width // n) > max_pixels:
        n += 1
    if n == 1:
        return pixels, 1
    cut = pixels[: height // n * n, : width // n * n]
    blocks = cut.reshape(height // n, n, width // n, n)
    if pixels.dtype.kind != "f":
        return np.rint(blocks.mean(axis=(1, 3))).astype(pixels.dtype), n
    is_good = np.isfinite(blocks)
    n_good = is_good.sum(axis=(1, 3))
    sums = blocks.sum(axis=(1, 3), where=is_good, dtype=np.float64)
    return np.divide(sums, n_good, out=np.full(n_good.shape, np.nan), where=n_good > 0), n


def as_integers(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return pixels as the integers that a message takes: rounded; NaN and what is negative in a float image are 0."""
    if pixels.dtype.kind in "iu" and pixels.dtype.itemsize <= np.dtype(np.uint32).itemsize:
        return pixels
    largest: float = _MAX_VALUE
    if pixels.dtype.kind == "f":  # of 32 bits, the number below 2**32 is smaller than that
        largest = min(largest, float(np.nextafter(pixels.dtype.type(2**32), pixels.dtype.type(0))))
    whole: npt.NDArray[np.uint32] = np.rint(np.clip(np.nan_to_num(pixels, nan=0.0), 0, largest)).astype(np.uint32)
    return whole
