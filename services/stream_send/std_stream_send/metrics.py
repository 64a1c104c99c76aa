"""Metrics of stream_send."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from std_daq.telemetry.reader_metrics import ReaderMetrics
from std_stream_send.session import Session, SessionCounters


class SenderMetrics:
    """Metrics of stream_send, for all receivers together and for each.

    Parameters
    ----------
    registry
        Registry of the process.
    instance
        Name of this process.
    """

    def __init__(self, registry: CollectorRegistry, instance: str) -> None:
        self._images = Counter("daq_replication_images_sent", "Images sent to receivers.", registry=registry)
        self._bytes = Counter("daq_replication_sent_bytes", "Bytes of the pixels of sent images.", registry=registry)
        self._lost = Counter(
            "daq_replication_images_lost", "Images reported as lost: overwritten before sent.", registry=registry
        )
        self._torn = Counter(
            "daq_replication_images_torn", "Lost images that were overwritten while they were sent.", registry=registry
        )
        self._unnamed = Counter(
            "daq_replication_entries_unnamed",
            "Journal entries that were overwritten before they were read.",
            registry=registry,
        )
        self.sessions = Counter("daq_replication_sessions", "Sessions begun with receivers.", registry=registry)
        self.refused = Counter("daq_replication_receivers_refused", "Receivers that were refused.", registry=registry)
        self._connections_refused = Counter(
            "daq_replication_connections_refused",
            "Connections ended before they had a session.",
            registry=registry,
        )
        self._n_refused = 0
        self._receivers = Gauge("daq_replication_receivers", "Receivers that are served.", registry=registry)
        self._lag_of = Gauge(
            "daq_replication_lag_images", "Images that wait to be sent.", ["receiver"], registry=registry
        )
        self._credit_of = Gauge(
            "daq_replication_credit_images", "Images that may be sent now.", ["receiver"], registry=registry
        )
        self._ring = ReaderMetrics(registry, instance)
        self._labels: set[str] = set()

    def show(self, sessions: list[Session]) -> None:
        """Set the metrics of the present sessions."""
        shown = {session.label: session for session in sessions}
        for label in self._labels - set(shown):
            self._lag_of.remove(label)
            self._credit_of.remove(label)
        self._labels = set(shown)
        for label, session in shown.items():
            self._lag_of.labels(label).set(session.lag)
            self._credit_of.labels(label).set(session.credit)
        self._receivers.set(len(sessions))
        furthest = max(sessions, key=lambda session: session.lag, default=None)
        self._ring.show(*((0, 0) if furthest is None else (furthest.lag, furthest.n_slots)))

    def show_refused(self, n_refused: int) -> None:
        """Set how many connections the router has refused since its start."""
        self._connections_refused.inc(n_refused - self._n_refused)
        self._n_refused = n_refused

    def count(self, counters: SessionCounters) -> None:
        """Add the counters of a session."""
        self._images.inc(counters.n_images)
        self._bytes.inc(counters.n_bytes)
        self._lost.inc(counters.n_lost)
        self._torn.inc(counters.n_torn)
        self._unnamed.inc(counters.n_unnamed)
