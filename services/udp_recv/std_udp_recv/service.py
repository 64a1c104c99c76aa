"""Description of udp_recv for the platform: its processes and its options."""

import argparse

from std_daq.errors import ConfigError
from std_daq.imaging.config.model import DetectorConfig, ModuleRange
from std_daq.imaging.detectors.registry import open_detector
from std_daq.service.description import Instance, ServiceDescription


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


SERVICE = ServiceDescription(
    name="udp-recv",
    package="std_udp_recv",
    summary="Receives UDP packets into the FrameBuffer.",
    config=DetectorConfig,
    instances=_instances,
    check=open_detector,
    add_arguments=_add_arguments,
    instance_of=instance_of,
)
