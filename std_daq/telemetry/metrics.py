"""Prometheus metrics of one service; each service has a registry of its own, so that tests do not share metrics."""

from importlib.metadata import version

from prometheus_client import CollectorRegistry, Info, disable_created_metrics
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector


def make_registry(service: str) -> CollectorRegistry:
    """Return a registry that already holds the metrics of the process and of the build.

    The counters have no series ``*_created`` with the time of their creation, because that is the start of the process.
    """
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    build = Info("daq_build", "Version of std-daq.", registry=registry)
    build.info({"version": version("std-daq"), "service": service})
    return registry
