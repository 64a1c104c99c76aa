"""The command ``std-live-stream``."""

import sys
from collections.abc import Sequence

from std_daq.imaging.config.model import DetectorConfig
from std_daq.service import Service, ServiceContext, run_service
from std_live_stream.service import SERVICE


def main(argv: Sequence[str] | None = None) -> int:
    """Run the service; returns its exit code."""
    return run_service(SERVICE, argv, start)


def start(context: ServiceContext[DetectorConfig]) -> Service:
    """Build the parts of the service and put them together."""
    from std_live_stream.live_stream import LiveStream

    return LiveStream(context.config, context.registry)


if __name__ == "__main__":
    sys.exit(main())
