"""Description of udp_recv for the platform: its processes and its options."""

import argparse
import os

from std_daq.errors import ConfigError
from std_daq.imaging.config.model import DetectorConfig, ModuleRange
from std_daq.imaging.start_checks import DETECTOR, FRAME_BUFFER, RINGS, UDP_PORTS
from std_daq.service.checks import Check
from std_daq.service.description import Instance, ServiceDescription
from std_daq.service.host_access import HostAccess


def module_range(arguments: argparse.Namespace, config: DetectorConfig) -> ModuleRange:
    """Return the modules of this process; raises ConfigError if the configuration has no such receiver."""
    receivers = config.receivers
    configured = ", ".join(map(str, receivers))
    if arguments.modules is None:
        if len(receivers) == 1:
            return receivers[0]
        raise ConfigError(
            "there are several receivers", key="udp.receivers", value=configured, remedy="select one with --modules"
        )
    try:
        part = ModuleRange.parse(arguments.modules)
    except ValueError as error:
        raise ConfigError(str(error), key="--modules", value=arguments.modules) from None
    if part not in receivers:
        raise ConfigError(
            "no receiver of the configuration has these modules",
            key="--modules",
            value=arguments.modules,
            remedy=f"give one of udp.receivers: {configured}",
        )
    return part


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--modules",
        metavar="FIRST-LAST",
        help="modules of this process, as udp.receivers has them, for example 0-3; needed if it has several; by "
        "default those of the only one",
    )


def _instances(config: DetectorConfig) -> list[Instance]:
    if config.replication.receive is not None:
        return []
    if len(config.receivers) == 1:
        return [Instance("udp-recv")]
    return [Instance(f"udp-recv-{part}", ("--modules", str(part))) for part in config.receivers]


def instance_of(arguments: argparse.Namespace, config: DetectorConfig) -> str:
    """Return the name of this process, unique among the services of the detector."""
    part = module_range(arguments, config)
    return "udp-recv" if len(config.receivers) == 1 else f"udp-recv-{part}"


def active_modules(config: DetectorConfig, part: ModuleRange) -> list[int]:
    """Return the modules of a receiver that are on; raises ConfigError if none is."""
    modules = [module for module in part.modules if module not in config.deactivate]
    if not modules:
        raise ConfigError(
            f"all modules of the receiver {part} are deactivated",
            key="deactivate",
            remedy="leave one of them on, or take the range out of udp.receivers",
        )
    return modules


def _check_modules(config: DetectorConfig) -> None:
    for part in config.receivers:
        active_modules(config, part)


def _check_cpus(config: DetectorConfig) -> None:
    allowed = os.sched_getaffinity(0)
    refused = sorted(set(config.udp.cpus or ()) - allowed)
    if refused:
        raise ConfigError(
            f"this process is not allowed to run on CPU {', '.join(map(str, refused))}",
            key="udp.cpus",
            value=config.udp.cpus,
            remedy=f"choose among {', '.join(map(str, sorted(allowed)))}",
        )


MODULES = Check(subject="modules", run=_check_modules, is_part_of_start=True)
CPUS = Check(subject="CPUs", run=_check_cpus, is_of_machine=True)


def _host_access(config: DetectorConfig) -> HostAccess:
    return HostAccess(ports=(config.start_udp_port,))


SERVICE = ServiceDescription(
    name="udp-recv",
    package="std_udp_recv",
    summary="Receives UDP packets into the FrameBuffer.",
    config=DetectorConfig,
    instances=_instances,
    checks=(DETECTOR, MODULES, FRAME_BUFFER, CPUS, RINGS, UDP_PORTS),
    add_arguments=_add_arguments,
    instance_of=instance_of,
    host_access=_host_access,
)
