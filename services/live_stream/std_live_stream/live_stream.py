"""LiveStream: the service that sends the newest images of the ImageBuffer to viewers."""

import time
from collections.abc import Callable
from typing import Any

from zmq import Frame

from std_daq.imaging.buffers.image import Image
from std_daq.imaging.buffers.image_buffer import ImageBuffer
from std_daq.imaging.buffers.image_reader import ImageReader
from std_daq.imaging.protocols.array_stream import encode_header
from std_live_stream.header_keys import HeaderKeys
from std_live_stream.metrics import LiveStreamMetrics
from std_live_stream.output import Outputs

_WAIT_S = 0.1
_AT_ONCE = 64


class LiveStream:
    """The service: reads the ring as any other reader, and holds up no other service.

    Each image is copied once. If the copy is whole, it is sent to the viewers of all streams that select the image. An
    image that no viewer will get is not copied.

    Parameters
    ----------
    images
        Reads images in place from the ring.
    outputs
        Streams of the service, which closes them.
    header_keys
        Keys of the headers in addition to the metadata of an image.
    metrics
        Metrics of the live stream.
    clock
        Returns the monotonic time in seconds.
    """

    def __init__(
        self,
        *,
        images: ImageReader,
        outputs: Outputs,
        header_keys: HeaderKeys,
        metrics: LiveStreamMetrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._images = images
        self.outputs = outputs
        self._header_keys = header_keys
        self._metrics = metrics
        self._clock = clock
        self._ring: ImageBuffer | None = None
        for output in outputs:
            metrics.sent.labels(output.address)
            metrics.ended.labels(output.address)

    @property
    def is_ready(self) -> bool:
        """Whether there is a ring from which images come."""
        return self.why_not_ready is None

    @property
    def why_not_ready(self) -> str | None:
        """What the service waits for; None if it is ready."""
        return None if self._images.ring is not None else "waiting for the ImageBuffer: is the assembler running?"

    def step(self) -> None:
        """Send the images that have come; wait at most 0.1 s for them."""
        self._images.wait(_WAIT_S)
        for output in self.outputs:
            n_ended = output.n_ended
            output.update_viewers()
            self._metrics.ended.labels(output.address).inc(output.n_ended - n_ended)
            self._metrics.viewers.labels(output.address).set(output.n_viewers)
        n_left_out = self._images.lost.n + self._images.n_skipped
        self._catch_up()
        for _ in range(_AT_ONCE):
            image = self._images.next(timeout_s=0.0)
            if image is None:
                break
            self._send_image(image)
        self._metrics.skipped.inc(self._images.lost.n + self._images.n_skipped - n_left_out)
        ring = self._images.ring
        self._metrics.ring.show(self._images.lag, 0 if ring is None else ring.n_slots)

    def close(self) -> None:
        """Let go of the ring and the addresses."""
        self.outputs.close()
        self._ring = None
        self._images.close()

    def _catch_up(self) -> None:
        """Skip old images if more than half of the ring waits, because viewers want new images, and whole ones."""
        ring = self._images.ring
        if ring is not None and self._images.lag > ring.n_slots // 2:
            self._images.skip(ring.n_slots // 4)

    def _send_image(self, image: Image) -> None:
        now_s = self._clock()
        taking = [output for output in self.outputs if output.selects(image.sequence, now_s)]
        looked_at = [output for output in taking if output.n_viewers > 0]
        if not looked_at:
            return
        pixels = Frame(image.pixels, copy=True)
        if not image.is_intact():
            self._metrics.torn.inc()
            return
        header = encode_header(image.metadata, self._keys(image.calibration))
        for output in looked_at:
            output.send(header, pixels)
            self._metrics.sent.labels(output.address).inc()

    def _keys(self, calibration: int) -> dict[str, Any]:
        """Return the keys of a header besides the metadata, for an image of the present ring."""
        ring = self._images.ring
        if ring is not self._ring:
            self._ring = ring
            self._header_keys.forget_calibrations()
        if ring is not None and not self._header_keys.knows(calibration):
            self._header_keys.learn(ring.read_notes())
        return self._header_keys.keys(calibration)
