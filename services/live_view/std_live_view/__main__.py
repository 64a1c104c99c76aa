"""The command ``std-live-view``."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from std_daq.service import ServiceContext, run_service
from std_daq.telescope.config import LiveViewConfig
from std_live_view.service import SERVICE

if TYPE_CHECKING:
    from std_live_view.live_view import LiveViewService


def main(argv: Sequence[str] | None = None) -> int:
    """Run the service, and return its exit code."""
    return run_service(SERVICE, argv, start)


def start(context: ServiceContext[LiveViewConfig]) -> "LiveViewService":
    """Build the service."""
    from std_live_view.live_view import LiveViewService
    from std_live_view.metrics import LiveViewMetrics

    folder = context.arguments.config.resolve().parent
    return LiveViewService(context.config, folder, LiveViewMetrics(context.registry))


if __name__ == "__main__":
    sys.exit(main())
