"""Presence: how a running service is found and asked, by its endpoint and its record."""

import os

from prometheus_client import CollectorRegistry

from std_daq.config.model import DetectorConfig
from std_daq.service.readiness import Readiness
from std_daq.service.record import remove_record, write_record
from std_daq.telemetry.endpoint import TelemetryEndpoint

ADDRESS_VARIABLE = "STD_DAQ_METRICS_ADDRESS"


class Presence:
    """The endpoint and the record of this process, open until `close`.

    Parameters
    ----------
    config
        The configuration.
    instance
        Name of this process among the detector's services.
    port
        Of the endpoint; by default as the configuration says, else any free one.
    registry
        The metrics.
    readiness
        Asked for each /health/ready.

    Raises
    ------
    PortError
        When the endpoint's address is taken or not allowed.
    """

    def __init__(
        self,
        config: DetectorConfig,
        instance: str,
        port: int | None,
        registry: CollectorRegistry,
        readiness: Readiness,
    ) -> None:
        address = os.environ.get(ADDRESS_VARIABLE) or config.metrics.address
        if port is None:
            port = config.metrics.ports.get(instance, 0)
        self._endpoint = TelemetryEndpoint(address, port, registry, readiness.why_not)
        self._record = write_record(config, instance, self._endpoint.url)

    @property
    def url(self) -> str:
        """Where the endpoint answers."""
        return self._endpoint.url

    def close(self) -> None:
        """Be gone."""
        remove_record(self._record)
        self._endpoint.close()
