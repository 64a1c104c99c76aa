"""Metrics of event_analysis."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class AnalysisMetrics:
    """What the analysis counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.events = Counter("daq_analysis_events", "Events analysed.", registry=registry)
        self.left_out = Counter(
            "daq_analysis_left_out", "Events that were not analysed, by the reason.", ["reason"], registry=registry
        )
        for reason in ("overwritten", "failed", "died", "timed_out"):
            self.left_out.labels(reason)
        self.points = Counter("daq_analysis_points", "Points of the clouds.", registry=registry)
        self.estimates = Counter("daq_analysis_estimates", "Estimates.", registry=registry)
        self.seconds = Histogram(
            "daq_analysis_event_seconds",
            "Time that a process takes for an event.",
            registry=registry,
            buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0),
        )
        self.age = Gauge(
            "daq_analysis_age_seconds", "Age of the newest result: from built to published.", registry=registry
        )
        self.waiting = Gauge("daq_analysis_waiting", "Events that wait to be analysed.", registry=registry)
        self.workers = Gauge("daq_analysis_workers", "Processes that take events.", registry=registry)
        self.revision = Gauge("daq_analysis_revision", "How often the parameters have changed.", registry=registry)
