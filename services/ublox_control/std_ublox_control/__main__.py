"""The command ``std-ublox-control``."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from std_daq.service import ServiceContext, run_service
from std_daq.telescope.ublox_config import UbloxControlConfig
from std_ublox_control.service import SERVICE

if TYPE_CHECKING:
    from std_ublox_control.ublox_control import UbloxControl


def main(argv: Sequence[str] | None = None) -> int:
    """Run the service, and return its exit code."""
    return run_service(SERVICE, argv, start)


def start(context: ServiceContext[UbloxControlConfig]) -> "UbloxControl":
    """Build the service."""
    from std_ublox_control.metrics import UbloxControlMetrics
    from std_ublox_control.ublox_control import UbloxControl

    folder = context.arguments.config.resolve().parent
    return UbloxControl(context.config, folder, UbloxControlMetrics(context.registry))


if __name__ == "__main__":
    sys.exit(main())
