"""Metrics of stream_recv."""

from collections.abc import Sequence
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge

from std_daq.imaging.metrics import ImageMetrics


class LinkNumbers(Protocol):
    """Numbers of a link."""

    @property
    def is_welcome(self) -> bool:
        """Whether the sender has answered."""

    n_sessions: int
    n_unnamed: int
    n_waiting: int


class ReceiverMetrics(ImageMetrics):
    """Metrics of stream_recv.

    Parameters
    ----------
    registry
        Registry of the process.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self._lost = Counter(
            "daq_replica_images_lost", "Images overwritten in the sender's ring, published as lost.", registry=registry
        )
        self._torn = Counter(
            "daq_replica_images_torn", "Lost images that were overwritten while they were sent.", registry=registry
        )
        self._bytes = Counter("daq_replica_received_bytes", "Bytes of pixels published.", registry=registry)
        self._unnamed = Counter(
            "daq_replica_entries_unnamed", "Entries overwritten before senders read them.", registry=registry
        )
        self._sessions = Counter("daq_replica_sessions", "Sessions in which a sender has answered.", registry=registry)
        self._connected = Gauge("daq_replica_sources", "Sources that answer now.", registry=registry)
        self._waiting = Gauge("daq_replica_lag_images", "Images that wait at the senders.", registry=registry)
        self._n_sessions = self._n_unnamed = 0

    def count_bytes(self, n_bytes: int) -> None:
        """Count the pixels of an image that was published."""
        self._bytes.inc(n_bytes)

    def count_lost(self, *, is_torn: bool) -> None:
        """Count an image that was published as lost."""
        self._lost.inc()
        self._torn.inc(is_torn)

    def show(self, links: Sequence[LinkNumbers]) -> None:
        """Set the metrics of the links."""
        n_sessions, n_unnamed = sum(link.n_sessions for link in links), sum(link.n_unnamed for link in links)
        self._sessions.inc(n_sessions - self._n_sessions)
        self._unnamed.inc(n_unnamed - self._n_unnamed)
        self._n_sessions, self._n_unnamed = n_sessions, n_unnamed
        self._connected.set(sum(link.is_welcome for link in links))
        self._waiting.set(max((link.n_waiting for link in links), default=0))
