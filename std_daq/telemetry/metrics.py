"""Metrics of one process, in Prometheus' terms; one registry a process, so that tests stay apart."""

from importlib.metadata import version

from prometheus_client import CollectorRegistry, Info
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector


def make_registry(service: str) -> CollectorRegistry:
    """Return a registry that already tells about the process and the build."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    build = Info("daq_build", "Version of std-daq.", registry=registry)
    build.info({"version": version("std-daq"), "service": service})
    return registry
