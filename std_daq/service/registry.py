"""The registry of installed services: a package registers a service with one line of its metadata.

::

    [project.entry-points."std_daq.services"]
    udp-recv = "std_udp_recv.service:SERVICE"
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from std_daq.config.load import config_error, validate_strictly
from std_daq.config.platform import PlatformConfig
from std_daq.errors import ConfigError
from std_daq.service.checks import PLATFORM_CHECKS, CheckResult, run_checks
from std_daq.service.description import Instance, ServiceDescription
from std_daq.service.supervisor import ServiceCommand

ENTRY_POINT_GROUP = "std_daq.services"


def service_descriptions() -> list[ServiceDescription[Any]]:
    """Return the descriptions of all installed services, sorted by name."""
    return [entry.load() for entry in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda entry: entry.name)]


@dataclass(frozen=True, slots=True)
class WantedInstance:
    """A process that a configuration needs: one instance of a service."""

    service: ServiceDescription[Any]
    instance: Instance

    def command(self, config_path: Path) -> ServiceCommand:
        """Return the command that starts the process."""
        arguments = ("--config", str(config_path), *self.instance.arguments)
        return ServiceCommand(self.instance.name, self.service.package, arguments)


def wanted_instances(config: PlatformConfig) -> list[WantedInstance]:
    """Return the processes that a configuration needs.

    Raises
    ------
    ConfigError
        The configuration has a section for a service that is not installed, or a section with wrong options.
    """
    services = [service for service in service_descriptions() if isinstance(config, service.config)]
    _check_sections(config, services)
    return [WantedInstance(service, instance) for service in services for instance in service.instances(config)]


def check_wanted(config: PlatformConfig, wanted: Sequence[WantedInstance]) -> Iterator[CheckResult]:
    """Run the checks of all services that a configuration needs; those of any machine come first."""
    checks = [check for one in wanted for check in one.service.checks]
    return run_checks(config, [*PLATFORM_CHECKS, *checks])


Options = TypeVar("Options", bound=BaseModel)


def parse_service_options(config: PlatformConfig, name: str, model: type[Options]) -> Options:
    """Return the section of a service below ``services``, validated by its model; raises ConfigError."""
    try:
        return validate_strictly(config.services.get(name, {}), model)
    except ValidationError as error:
        raise config_error(error, model, prefix=f"services.{name}") from None


def _check_sections(config: PlatformConfig, services: list[ServiceDescription[Any]]) -> None:
    models = dict(_added(services))
    for name in config.services:
        if name not in models:
            known = ", ".join(models) or "none"
            raise ConfigError(
                f"no installed service of this name can be added to a {type(config).__name__}",
                key=f"services.{name}",
                remedy=f"install its package, or remove the section; services that can be added: {known}",
            )
        parse_service_options(config, name, models[name])


def _added(services: list[ServiceDescription[Any]]) -> Iterator[tuple[str, type[BaseModel]]]:
    for service in services:
        if service.options is not None:
            yield service.name, service.options
