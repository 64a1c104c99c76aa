"""ReaderMetrics: how far a reader of a ring is behind."""

from prometheus_client import CollectorRegistry, Gauge


class ReaderMetrics:
    """How far a reader of a ring is behind, as a number of entries and as a part of the ring.

    Every service that reads a ring has these under the same names. The part makes a rule for alerts simple: it needs
    no metric of the service that fills the ring, which may serve another detector or run on another server.

    Parameters
    ----------
    registry
        Registry of the process.
    reader
        Name of this reader.
    """

    def __init__(self, registry: CollectorRegistry, reader: str) -> None:
        self._lag = Gauge(
            "daq_ring_lag_images",
            "Entries of the ring that were published and not yet handled.",
            ["reader"],
            registry=registry,
        ).labels(reader)
        self._part = Gauge(
            "daq_ring_lag_ratio",
            "The lag as a part of the ring's slots; at 1 entries get lost.",
            ["reader"],
            registry=registry,
        ).labels(reader)

    def show(self, lag: int, n_slots: int) -> None:
        """Set the lag, in entries; ``n_slots`` is the size of the ring, 0 while there is none."""
        self._lag.set(lag)
        self._part.set(lag / n_slots if n_slots else 0.0)
