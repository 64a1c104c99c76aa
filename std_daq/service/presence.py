"""Presence: the lock, the endpoint and the record of a running service, by which other processes know of it."""

import os
import socket
from typing import Self

from prometheus_client import CollectorRegistry

from std_daq.config.platform import MetricsConfig, PlatformConfig
from std_daq.service.healthcheck import ADDRESS_VARIABLE, EVERY_ADDRESS
from std_daq.service.instance_lock import InstanceLock
from std_daq.service.readiness import Readiness
from std_daq.service.record import OwnRecord, endpoint_socket
from std_daq.telemetry.endpoint import TelemetryEndpoint, url_host


class Presence:
    """A context manager for lock, endpoint and record of this process; `appear` or `appear_unnamed` opens them.

    Parameters
    ----------
    port
        Port of the endpoint; by default the configured port, or else any free port.
    readiness
        Answers each request for /health/ready.
    """

    def __init__(self, port: int | None, readiness: Readiness) -> None:
        self._port = port
        self.readiness = readiness
        self._endpoint: TelemetryEndpoint | None = None
        self._record: OwnRecord | None = None
        self._lock: InstanceLock | None = None

    @property
    def url(self) -> str:
        """URL of the endpoint; empty if the endpoint is not open."""
        if self._endpoint is None:
            return ""
        address = self._endpoint.address
        host = socket.gethostname() if address in EVERY_ADDRESS else url_host(address)
        return f"http://{host}:{self._endpoint.port}"

    def appear(self, config: PlatformConfig, instance: str, registry: CollectorRegistry, *, is_only: bool) -> None:
        """Become the only process of this instance if ``is_only``, open the endpoint and write the record.

        Raises
        ------
        ResourceError
            Another process is this instance.
        PortError
            The address of the endpoint is in use or not allowed.
        ConfigError
            The record cannot be written.
        """
        port = config.metrics.ports.get(instance, 0) if self._port is None else self._port
        address = metrics_address(config.metrics)
        at = endpoint_socket(config, instance)
        if is_only:
            self._lock = InstanceLock(at.parent, instance)
        self._endpoint = TelemetryEndpoint(address, port, registry, self.readiness.why_not, at, self.readiness.document)
        self._record = OwnRecord(config, instance, self.url)

    def appear_unnamed(self) -> None:
        """Open an endpoint without a configuration; does nothing if an endpoint is open or no port is given.

        Raises
        ------
        PortError
            The address of the endpoint is in use or not allowed.
        """
        if self._endpoint is None and self._port is not None:
            address = metrics_address(MetricsConfig())
            self._endpoint = TelemetryEndpoint(address, self._port, CollectorRegistry(), self.readiness.why_not)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._record is not None:
            self._record.remove()
        if self._endpoint is not None:
            self._endpoint.close()
        if self._lock is not None:
            self._lock.release()


def metrics_address(metrics: MetricsConfig) -> str:
    """Return the address of the endpoints: that of the environment, which a container sets, or of the configuration."""
    return os.environ.get(ADDRESS_VARIABLE) or metrics.address
