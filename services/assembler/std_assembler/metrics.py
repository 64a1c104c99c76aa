"""Metrics of the assembler."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from std_daq.protocols.image_metadata import ImageStatus


class AssemblerMetrics:
    """What the assembler counts.

    Parameters
    ----------
    registry
        The registry of the process.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._images = Counter(
            "daq_images", "Images published, by status (good or the flags).", ["status"], registry=registry
        )
        self.lost = Counter(
            "daq_images_lost", "Exposures that were overwritten before they became images.", registry=registry
        )
        self.missing_packets = Counter(
            "daq_image_missing_packets", "Packets missing in the published images.", registry=registry
        )
        self.latency = Histogram(
            "daq_image_latency_seconds",
            "From the last packet of an image to its publication.",
            registry=registry,
            buckets=(0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0),
        )
        self.lag = Gauge(
            "daq_ring_lag_images", "Exposures published and not yet read.", ["reader"], registry=registry
        ).labels("assembler")
        self.slots = Gauge("daq_ring_slots", "Slots of the ImageBuffer.", registry=registry)
        self.last_image = Gauge(
            "daq_last_image_timestamp_seconds", "When the last image was published, since 1970.", registry=registry
        )
        self.calibration = Gauge(
            "daq_calibration_index", "How often the calibration files were replaced.", registry=registry
        )
        self.calibration_refused = Gauge(
            "daq_calibration_refused", "Changed calibration files that did not fit.", registry=registry
        )
        for status in ("good", "missing_packets"):
            self._images.labels(status)

    def count_image(self, status: ImageStatus) -> None:
        """Count one image."""
        names = [flag.name.lower() for flag in ImageStatus if flag in status and flag.name]
        self._images.labels("+".join(names) or "good").inc()
