"""ServiceDescription: what the platform has to know of a service; it stands with the service.

``std-daq up`` asks it which processes a configuration wants, ``std-daq status`` what to show of them, the service's own
``__main__`` which command line it has. A package names its description in the entry point group ``std_daq.services``
(`std_daq.service.registry`).
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import BaseModel

from std_daq.config.platform import PlatformConfig

Config = TypeVar("Config", bound=PlatformConfig)


@dataclass(frozen=True, slots=True)
class Instance:
    """One process of a service.

    Parameters
    ----------
    name
        Among all processes of the system, as ``h5-writer-0``.
    arguments
        What its command line has besides ``--config``.
    """

    name: str
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Figure:
    """A number of a service that ``std-daq status`` shows.

    Parameters
    ----------
    title
        What it is, in a word or two: ``events``, ``waiting``.
    metric
        Its name at ``/metrics``; of a counter, which ends in ``_total``, the rate is shown as well.
    """

    title: str
    metric: str

    @property
    def is_counter(self) -> bool:
        """Whether it only grows, so that its rate means something."""
        return self.metric.endswith("_total")


def no_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare no argument: the service has those of every service."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceDescription(Generic[Config]):
    """A service as the platform sees it.

    Parameters
    ----------
    name
        As in the command ``std-<name>`` and the image ``std-daq/<name>``: ``udp-recv``.
    package
        What ``python -m`` starts, and where its command is: ``std_udp_recv``.
    summary
        What it does, one sentence.
    config
        The model of the configuration that it is given; ``PlatformConfig`` for a service that suits any system.
    instances
        The processes that a configuration wants; none where it does not want this service.
    add_arguments
        Declares its own options.
    instance_of
        The name of a process, from its command line; raises ConfigError where the configuration has no such process.
        By default the name of the service.
    options
        Of a service that is added to a system from outside: the model of its section below ``services``.
    check
        Raises ConfigError where the configuration cannot be right for this service; called once before any is
        started, so it has to be quick.
    needs_broker
        Whether it speaks to a message broker, which ``std-daq up`` then provides.
    figures
        What ``std-daq status`` shows of it.
    """

    name: str
    package: str
    summary: str
    config: type[Config]
    instances: Callable[[Config], list[Instance]]
    add_arguments: Callable[[argparse.ArgumentParser], None] = no_arguments
    instance_of: Callable[[argparse.Namespace, Config], str] | None = None
    options: type[BaseModel] | None = None
    check: Callable[[Config], object] | None = None
    needs_broker: bool = False
    figures: tuple[Figure, ...] = ()

    @property
    def command(self) -> str:
        """Its command."""
        return f"std-{self.name}"
