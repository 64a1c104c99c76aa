"""Presence: how a running service is found and asked, by its endpoint and its record."""

import os
import socket
from typing import Self

from prometheus_client import CollectorRegistry

from std_daq.config.platform import MetricsConfig, PlatformConfig
from std_daq.service.healthcheck import ADDRESS_VARIABLE, EVERY_ADDRESS
from std_daq.service.readiness import Readiness
from std_daq.service.record import OwnRecord, endpoint_socket
from std_daq.telemetry.endpoint import TelemetryEndpoint, url_host


class Presence:
    """The endpoint and the record of this process, from `appear` or `appear_unnamed` until it is left.

    Parameters
    ----------
    port
        Of the endpoint; by default as the configuration says, else any free one.
    readiness
        Asked for each /health/ready.
    """

    def __init__(self, port: int | None, readiness: Readiness) -> None:
        self._port = port
        self.readiness = readiness
        self._endpoint: TelemetryEndpoint | None = None
        self._record: OwnRecord | None = None

    @property
    def url(self) -> str:
        """Where the endpoint answers; empty where it does not."""
        if self._endpoint is None:
            return ""
        address = self._endpoint.address
        host = socket.gethostname() if address in EVERY_ADDRESS else url_host(address)
        return f"http://{host}:{self._endpoint.port}"

    def appear(self, config: PlatformConfig, instance: str, registry: CollectorRegistry) -> None:
        """Open the endpoint and write the record.

        Raises
        ------
        PortError
            When the endpoint's address is taken or not allowed.
        ConfigError
            When the record cannot be written.
        """
        port = config.metrics.ports.get(instance, 0) if self._port is None else self._port
        address = _address(config.metrics)
        at = endpoint_socket(config, instance)
        self._endpoint = TelemetryEndpoint(address, port, registry, self.readiness.why_not, at)
        self._record = OwnRecord(config, instance, self.url)

    def appear_unnamed(self) -> None:
        """Open an endpoint without a configuration, if none is open; where no port is given there is none.

        Raises
        ------
        PortError
            When its address is taken or not allowed.
        """
        if self._endpoint is None and self._port is not None:
            address = _address(MetricsConfig())
            self._endpoint = TelemetryEndpoint(address, self._port, CollectorRegistry(), self.readiness.why_not)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._record is not None:
            self._record.remove()
        if self._endpoint is not None:
            self._endpoint.close()


def _address(metrics: MetricsConfig) -> str:
    return os.environ.get(ADDRESS_VARIABLE) or metrics.address
