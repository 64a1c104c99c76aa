"""Metrics of the live stream."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class LiveStreamMetrics:
    """What the live stream counts.

    Parameters
    ----------
    registry
        The registry of the process.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.sent = Counter(
            "daq_live_images_sent", "Images sent to at least one viewer, by address.", ["stream"], registry=registry
        )
        self.viewers = Gauge("daq_live_viewers", "Viewers that are there, by address.", ["stream"], registry=registry)
        self.torn = Counter(
            "daq_live_images_torn", "Images overwritten while they were being copied, and not sent.", registry=registry
        )
        self.skipped = Counter(
            "daq_live_images_skipped",
            "Images left out or overwritten because this service was behind.",
            registry=registry,
        )
        self.lag = Gauge(
            "daq_ring_lag_images", "Images published and not yet looked at.", ["reader"], registry=registry
        ).labels("live-stream")
