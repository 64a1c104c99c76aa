"""The command ``std-udp-recv``."""

import sys
from collections.abc import Sequence

from std_daq.imaging.config.model import DetectorConfig
from std_daq.service import Service, ServiceContext, run_service
from std_udp_recv.service import SERVICE, module_range


def main(argv: Sequence[str] | None = None) -> int:
    """Run the service; returns its exit code."""
    return run_service(SERVICE, argv, _start)


def _start(context: ServiceContext[DetectorConfig]) -> Service:
    from std_udp_recv.receiver import Receiver

    return Receiver(context, module_range(context.arguments, context.config))


if __name__ == "__main__":
    sys.exit(main())
