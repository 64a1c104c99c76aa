"""IntensityMonitor: looks at the newest image again and again."""

import time
from collections.abc import Callable

from std_daq.imaging.buffers.image_reader import ImageReader
from std_daq_intensity.metrics import IntensityMetrics

_WAIT_S = 0.1


class IntensityMonitor:
    """The service's class: it is handed its parts, and `step` does one round of work.

    Parameters
    ----------
    images
        The images of the detector.
    metrics
        Where the result is told.
    region
        Rows and columns of the pixels that count.
    period_s
        Time from one image to the next, in seconds.
    clock
        Monotonic seconds.
    """

    def __init__(
        self,
        images: ImageReader,
        metrics: IntensityMetrics,
        region: tuple[slice, slice],
        period_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._images = images
        self._metrics = metrics
        self._region = region
        self._period_s = period_s
        self._clock = clock
        self._next_look_s = clock()

    @property
    def is_ready(self) -> bool:
        """Whether it does its work now; asked from another thread, for /health/ready."""
        return self.why_not_ready is None

    @property
    def why_not_ready(self) -> str | None:
        """What it waits for, in a few words; `std-daq status` shows them."""
        return None if self._images.ring is not None else "waiting for the ImageBuffer: is the assembler running?"

    def step(self) -> None:
        """Look at the newest image when it is time, and wait at most 0.1 s."""
        left_s = self._next_look_s - self._clock()
        if left_s > 0:
            time.sleep(min(left_s, _WAIT_S))
            return
        image = self._images.newest(timeout_s=_WAIT_S)
        if image is None:
            return
        self._next_look_s = self._clock() + self._period_s
        self._metrics.mean.set(float(image.pixels[self._region].mean()))
        self._metrics.images.inc()

    def close(self) -> None:
        """Let go of the ring."""
        self._images.close()
