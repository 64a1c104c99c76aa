"""LiveStream: shows the newest images of the ImageBuffer to whoever looks."""

import time
from collections.abc import Callable

import numpy as np
import zmq
from prometheus_client import CollectorRegistry

from std_daq.errors import ConfigError
from std_daq.imaging.buffers.image_buffer import ImageBuffer
from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.config.paths import image_buffer_path, images_address
from std_daq.imaging.protocols.array_stream import encode_header
from std_daq.streams.doorbell import Doorbell
from std_daq.streams.follower import RingFollower
from std_live_stream.description import Description
from std_live_stream.metrics import LiveStreamMetrics
from std_live_stream.output import Output

_WAIT_S = 0.1
_AT_ONCE = 64
_WIDEST_PIXEL_BYTES = 4


class LiveStream:
    """The service: reads the ring as any other reader, and is never waited for.

    An image is copied once, checked to be whole, and the copy is sent to the viewers of all streams that take it. Where
    nobody looks nothing is copied.

    Parameters
    ----------
    config
        The detector, and its streams.
    registry
        For the metrics.
    clock
        Monotonic seconds.

    Raises
    ------
    ConfigError
        When no stream is configured.
    PortError
        When an address cannot be bound.
    """

    def __init__(
        self, config: DetectorConfig, registry: CollectorRegistry, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if not config.live_stream_configs:
            raise ConfigError(
                "no stream is configured",
                key="live_stream_configs",
                remedy='give one, as {"tcp://127.0.0.1:20000": {"type": "periodic", "config": [1, 10]}}',
            )
        path = image_buffer_path(config)
        height, width = config.image_shape
        image_bytes = height * width * _WIDEST_PIXEL_BYTES
        self._clock = clock
        self._metrics = LiveStreamMetrics(registry)
        self._description = Description(config)
        self._follower = RingFollower(lambda: ImageBuffer.attach(path), clock=clock)
        self._ring: ImageBuffer | None = None
        self._context = zmq.Context()
        try:
            self.outputs = [
                Output(self._context, address, stream, image_bytes)
                for address, stream in config.live_stream_configs.items()
            ]
        except BaseException:
            self._context.destroy(linger=0)
            raise
        self._doorbell = Doorbell(images_address(config))
        for output in self.outputs:
            self._metrics.sent.labels(output.address)

    @property
    def is_ready(self) -> bool:
        """Whether there are images to look at, also in the future."""
        return self.why_not_ready is None

    @property
    def why_not_ready(self) -> str | None:
        """What is waited for."""
        return None if self._follower.ring is not None else "waiting for the ImageBuffer: is the assembler running?"

    def step(self) -> None:
        """Send what has come; wait at most 0.1 s for it."""
        if self._follower.lag == 0:
            self._doorbell.wait(_WAIT_S)
        for output in self.outputs:
            output.look_for_viewers()
            self._metrics.viewers.labels(output.address).set(output.n_viewers)
        self._catch_up()
        part = self._follower.read(_AT_ONCE)
        ring = self._follower.ring
        if part is not None and ring is not None:
            self._metrics.skipped.inc(part.n_lost)
            self._note_ring(ring)
            for entry in part.entries:
                self._deliver(ring, entry)
        self._metrics.lag.set(self._follower.lag)

    def close(self) -> None:
        """Let go of the ring and the addresses."""
        self._doorbell.close()
        self._context.destroy(linger=0)
        self._ring = None
        self._follower.close()

    def _catch_up(self) -> None:
        """Leave out old images when half of the ring is behind: viewers want the newest, and whole ones."""
        ring = self._follower.ring
        if ring is not None and self._follower.lag > ring.n_slots // 2:
            self._metrics.skipped.inc(self._follower.skip(ring.n_slots // 4))

    def _note_ring(self, ring: ImageBuffer) -> None:
        if ring is not self._ring:
            self._ring = ring
            self._description.forget_calibrations()

    def _deliver(self, ring: ImageBuffer, metadata: np.void) -> None:
        sequence = int(metadata["sequence"])
        now_s = self._clock()
        taking = [output for output in self.outputs if output.takes(sequence, now_s)]
        looked_at = [output for output in taking if output.n_viewers > 0]
        if not looked_at:
            return
        pixels = _copy(ring, sequence)
        if pixels is None:
            self._metrics.torn.inc()
            return
        calibration = int(metadata["calibration"])
        if not self._description.knows(calibration):
            self._description.learn(ring.read_notes())
        header = encode_header(metadata, self._description.keys(calibration))
        for output in looked_at:
            output.send(header, pixels)
            self._metrics.sent.labels(output.address).inc()


def _copy(ring: ImageBuffer, sequence: int) -> zmq.Frame | None:
    """Copy an image into a message; None where it was overwritten before or meanwhile."""
    slot = ring.slot(sequence)
    generation = ring.generation(slot)
    if not ring.holds(sequence):
        return None
    pixels = zmq.Frame(ring.images[slot], copy=True)
    return pixels if ring.is_unchanged(slot, generation) else None
