"""Metrics of published events."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class PublisherMetrics:
    """Metrics of published events."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.emptied = Counter(
            "daq_builder_events_emptied",
            "Events that were published without their samples, because decoding was too slow.",
            registry=registry,
        )
        self.without_frames = Counter(
            "daq_builder_events_without_frames",
            "Events whose frames were not kept, because they do not fit into the ring.",
            registry=registry,
        )
        self._traces = Counter("daq_builder_traces", "Traces of the published events.", registry=registry)
        self._seconds = Histogram(
            "daq_builder_event_seconds",
            "Time from the first frame of an event to its publication.",
            registry=registry,
            buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0),
        )
        self._last = Gauge(
            "daq_last_event_timestamp_seconds", "When the last event was published, since 1970.", registry=registry
        )

    def count(self, n_traces: int, waited_s: float, at_s: float) -> None:
        """Count a published event."""
        self._traces.inc(n_traces)
        self._seconds.observe(waited_s)
        self._last.set(at_s)
