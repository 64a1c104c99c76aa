"""The metrics of this service."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class IntensityMetrics:
    """What has been seen.

    Parameters
    ----------
    registry
        The registry of the process.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.images = Counter("daq_intensity_images", "Images that were looked at.", registry=registry)
        self.mean = Gauge("daq_intensity_mean", "Mean value of the pixels of the newest image.", registry=registry)
