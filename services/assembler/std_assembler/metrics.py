"""Metrics of the assembler."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from std_daq.imaging.metrics import ImageMetrics
from std_daq.telemetry.reader_metrics import ReaderMetrics


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
            "daq_assembler_exposures_lost",
            "Exposures that became no image: overwritten, damaged, or left out because they had ended the assembler.",
            registry=registry,
        )
        self.missing_packets = Counter(
            "daq_image_missing_packets", "Packets missing in the published images.", registry=registry
        )
        self._out_of_step = Counter(
            "daq_image_modules_out_of_step",
            "Modules of published images with another pulse id than most modules.",
            ["module"],
            registry=registry,
        )
        self.latency = Histogram(
            "daq_image_latency_seconds",
            "Time from the last packet of an image to its publication.",
            registry=registry,
            buckets=(0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0),
        )
        self.ring = ReaderMetrics(registry, "assembler")
        self.calibration = Gauge(
            "daq_calibration_index", "How often the calibration files were replaced.", registry=registry
        )
        self.calibration_refused = Gauge(
            "daq_calibration_refused", "Number of changed calibrations that were refused.", registry=registry
        )

    def count_out_of_step(self, modules: Iterable[int]) -> None:
        """Count the modules of an image that are out of step."""
        for module in modules:
            self._out_of_step.labels(str(module)).inc()
