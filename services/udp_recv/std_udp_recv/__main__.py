"""The command ``std-udp-recv``."""

import argparse
import sys
from collections.abc import Sequence

from std_daq.config.model import DetectorConfig, ModuleRange
from std_daq.errors import ConfigError
from std_daq.service import Service, ServiceContext, run_service, service_parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the service; returns its exit code."""
    parser = service_parser("std-udp-recv", "Receives UDP packets into the FrameBuffer.")
    parser.add_argument("--modules", metavar="FIRST-LAST", help="one of udp.receivers, e.g. 0-3; by default all")
    return run_service(parser, argv, _start, _instance)


def module_range(arguments: argparse.Namespace, config: DetectorConfig) -> ModuleRange:
    """Return the modules of this process; raises ConfigError where the configuration has no such receiver."""
    receivers = config.receivers
    configured = ", ".join(map(str, receivers))
    if arguments.modules is None:
        if len(receivers) == 1:
            return receivers[0]
        raise ConfigError(
            "there are several receivers", key="udp.receivers", value=configured, remedy="give one with --modules"
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
            remedy=f"udp.receivers: {configured}",
        )
    return part


def _instance(arguments: argparse.Namespace, config: DetectorConfig) -> str:
    part = module_range(arguments, config)
    return "udp-recv" if len(config.receivers) == 1 else f"udp-recv-{part}"


def _start(context: ServiceContext) -> Service:
    from std_udp_recv.receiver import Receiver

    return Receiver(context, module_range(context.arguments, context.config))


if __name__ == "__main__":
    sys.exit(main())
