"""Metrics of the live stream."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from std_daq.telemetry.reader_metrics import ReaderMetrics


class LiveStreamMetrics:
    """Metrics of the live stream.

    Parameters
    ----------
    registry
        Registry of the process.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.sent = Counter(
            "daq_live_images_sent", "Images sent to at least one viewer, by address.", ["stream"], registry=registry
        )
        self.viewers = Gauge("daq_live_viewers", "Connected viewers, by address.", ["stream"], registry=registry)
        self.ended = Counter(
            "daq_live_connections_ended",
            "Connections ended because there were too many, by address.",
            ["stream"],
            registry=registry,
        )
        self.torn = Counter(
            "daq_live_images_torn", "Images not sent, since overwritten while copied.", registry=registry
        )
        self.skipped = Counter(
            "daq_live_images_skipped",
            "Images skipped or overwritten, because this service was too slow.",
            registry=registry,
        )
        self.ring = ReaderMetrics(registry, "live-stream")
