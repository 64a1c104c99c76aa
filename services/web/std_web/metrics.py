"""Metrics of the console."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class WebMetrics:
    """Metrics of the console.

    Parameters
    ----------
    registry
        Registry of the process.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "daq_web_requests", "Requests answered, by the first digit of the status.", ["status"], registry=registry
        )
        self.refused = Counter(
            "daq_web_refused", "Requests and connections refused, by reason.", ["reason"], registry=registry
        )
        self.connections = Gauge("daq_web_connections", "Connections that speak HTTP.", registry=registry)
        self.websockets = Gauge("daq_web_websockets", "Open WebSockets.", registry=registry)
