"""Metrics of a worker."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class WorkerMetrics:
    """Metrics of a worker.

    Parameters
    ----------
    registry
        Registry of the process.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.events = Counter("daq_sim_worker_events", "Events that were simulated.", registry=registry)
        self.photons = Counter("daq_sim_worker_photons", "Photons that were simulated.", registry=registry)
        self.hits = Counter("daq_sim_worker_hits", "Photons that were detected.", registry=registry)
        self.failed = Counter("daq_sim_worker_failed", "Events that could not be simulated.", registry=registry)
        self.malformed = Counter("daq_sim_worker_malformed", "Messages that are no request.", registry=registry)
        self.resent = Counter("daq_sim_worker_resent", "Requests that were known already.", registry=registry)
        self.refused = Counter("daq_sim_worker_refused", "Requests that got NO_WORKERS.", registry=registry)
        self.undelivered = Counter(
            "daq_sim_worker_undelivered", "Replies to clients that had gone, or did not read.", registry=registry
        )
        self.connections_ended = Counter(
            "daq_sim_worker_connections_ended", "Connections ended because there were too many.", registry=registry
        )
        self.batches = Counter("daq_sim_worker_batches", "Calls of the engine.", registry=registry)
        self.busy_seconds = Counter("daq_sim_worker_busy_seconds", "Time in the engine.", registry=registry)
        self.in_hand = Gauge("daq_sim_worker_in_hand", "Events that wait or are being simulated.", registry=registry)
        self.is_connected = Gauge(
            "daq_sim_worker_connected", "1 if the router is connected; 1 without a router.", registry=registry
        )
