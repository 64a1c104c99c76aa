"""ImageMetrics: what every service that fills the ImageBuffer counts, under the same names."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from std_daq.imaging.image_faults import fault_name
from std_daq.imaging.protocols.image_metadata import ImageStatus


class ImageMetrics:
    """The images that a service publishes.

    Parameters
    ----------
    registry
        The registry of the process.

    Attributes
    ----------
    slots
        Slots of the ImageBuffer.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._images = Counter(
            "daq_images", "Images published, by status (good or the flags).", ["status"], registry=registry
        )
        self._last_image = Gauge(
            "daq_last_image_timestamp_seconds", "When the last image was published, since 1970.", registry=registry
        )
        self.slots = Gauge("daq_ring_slots", "Slots of the ImageBuffer.", registry=registry)
        self._counters: dict[ImageStatus, Counter] = {}
        for status in ("good", "missing_packets"):
            self._images.labels(status)

    def count_image(self, status: ImageStatus, published_at_s: float) -> None:
        """Count an image that was published, at a time in seconds since 1970."""
        counter = self._counters.get(status)
        if counter is None:
            names = [fault_name(flag) for flag in ImageStatus if flag in status]
            counter = self._counters[status] = self._images.labels("+".join(names) or "good")
        counter.inc()
        self._last_image.set(published_at_s)
