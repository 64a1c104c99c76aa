"""The command ``std-sim-router``."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from std_daq.photons.config import FarmConfig
from std_daq.service import ServiceContext, run_service
from std_sim_router.options import RouterOptions
from std_sim_router.service import SERVICE

if TYPE_CHECKING:
    from std_sim_router.router import SimRouter


def main(argv: Sequence[str] | None = None) -> int:
    """Run the service, and return its exit code."""
    return run_service(SERVICE, argv, start)


def start(context: ServiceContext[FarmConfig]) -> "SimRouter":
    """Build the service."""
    from std_sim_router.metrics import RouterMetrics
    from std_sim_router.router import SimRouter

    return SimRouter(RouterOptions.from_arguments(context.arguments), RouterMetrics(context.registry))


if __name__ == "__main__":
    sys.exit(main())
