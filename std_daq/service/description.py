"""ServiceDescription: what the platform needs to know about a service; each service defines its own.

``std-daq up`` reads from it which processes a configuration needs, ``std-daq status`` which figures to show, and the
``__main__`` of the service which options it has. A package registers its description in the entry point group
``std_daq.services`` (`std_daq.service.registry`).
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import BaseModel

from std_daq.config.platform import PlatformConfig
from std_daq.service.checks import Check
from std_daq.service.host_access import HostAccess

Config = TypeVar("Config", bound=PlatformConfig)


@dataclass(frozen=True, slots=True)
class Instance:
    """One process of a service.

    Parameters
    ----------
    name
        Name of the process, unique in the system, for example ``h5-writer-0``.
    arguments
        Command-line arguments in addition to ``--config``.
    """

    name: str
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Figure:
    """A metric of a service that ``std-daq status`` shows.

    Parameters
    ----------
    title
        What the metric counts, in a word or two: ``events``, ``waiting``.
    metric
        Name at ``/metrics``. If it ends in ``_total``, it is a counter, and its rate is shown as well.
    """

    title: str
    metric: str

    @property
    def is_counter(self) -> bool:
        """Whether the metric is a counter; only a counter has a rate."""
        return self.metric.endswith("_total")


def no_host_access(config: object) -> HostAccess:  # noqa: ARG001 - the signature of every `host_access`
    """Return that a service needs nothing of the machine but its rings, its runtime directory and the network."""
    return HostAccess()


def no_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare no arguments, for a service that has only the common ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceDescription(Generic[Config]):
    """A service, described for the platform.

    Parameters
    ----------
    name
        Name in the command ``std-<name>`` and the image ``std-daq/<name>``, for example ``udp-recv``.
    package
        The package that ``python -m`` starts, for example ``std_udp_recv``.
    summary
        What the service does, in one sentence.
    config
        Model of the configuration that the service needs; ``PlatformConfig`` for a service that works with any system.
    instances
        Returns the processes that a configuration needs; an empty list if it does not need this service.
    add_arguments
        Declares the options of the service itself.
    instance_of
        Returns the name of a process from its command line; raises ConfigError if the configuration has no such
        process. By default the name is that of the service.
    config_of
        Makes the configuration from the command line, for a service that needs no file: ``--config`` is then optional,
        and gives only what the configuration of every system gives. None for a service that needs one.
    has_further_configs
        Whether ``--config`` may be given several times. The process belongs to the system of the first; the others are
        ``further_configs`` of the command line.
    follows_deployments
        Whether the process starts again when its configuration is replaced; False if it takes the new one by itself.
    options
        Model of the section below ``services``, for a service that another package adds to a system.
    checks
        All for which the start of the service is refused, apart from what the configuration's model checks.
    needs_broker
        Whether the service needs a message broker, which ``std-daq up`` then provides.
    is_broker_client
        Whether the service is a client of the broker where another service of its system needs one.
    host_access
        Returns what the service needs of the machine, for the units that ``std-daq systemd`` writes.
    figures
        The figures that ``std-daq status`` shows for this service.
    """

    name: str
    package: str
    summary: str
    config: type[Config]
    instances: Callable[[Config], list[Instance]]
    add_arguments: Callable[[argparse.ArgumentParser], None] = no_arguments
    instance_of: Callable[[argparse.Namespace, Config], str] | None = None
    config_of: Callable[[argparse.Namespace], Config] | None = None
    has_further_configs: bool = False
    follows_deployments: bool = True
    options: type[BaseModel] | None = None
    checks: tuple[Check[Config], ...] = ()
    needs_broker: bool = False
    is_broker_client: bool = False
    host_access: Callable[[Config], HostAccess] = no_host_access
    figures: tuple[Figure, ...] = ()

    @property
    def command(self) -> str:
        """Name of the command that starts the service."""
        return f"std-{self.name}"
