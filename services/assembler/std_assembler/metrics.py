"""Metrics of the assembler."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from std_daq.imaging.metrics import ImageMetrics


class AssemblerMetrics(ImageMetrics):
    """Metrics of the assembler.

    Parameters
    ----------
    registry
        Registry of the process.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self.lost = Counter(
            "daq_images_lost", "Exposures that were overwritten before they became images.", registry=registry
        )
        self.missing_packets = Counter(
            "daq_image_missing_packets", "Packets missing in the published images.", registry=registry
        )
        self.latency = Histogram(
            "daq_image_latency_seconds",
            "Time from the last packet of an image to its publication.",
            registry=registry,
            buckets=(0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0),
        )
        self.lag = Gauge(
            "daq_ring_lag_images", "Exposures published and not yet read.", ["reader"], registry=registry
        ).labels("assembler")
        self.calibration = Gauge(
            "daq_calibration_index", "How often the calibration files were replaced.", registry=registry
        )
        self.calibration_refused = Gauge(
            "daq_calibration_refused", "Number of changed calibrations that were refused.", registry=registry
        )
