"""The command ``std-live-stream``."""

import sys
from collections.abc import Sequence

from std_daq.service import Service, ServiceContext, run_service, service_parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the service; returns its exit code."""
    parser = service_parser("std-live-stream", "Sends images from the ImageBuffer to viewers.")
    return run_service(parser, argv, _start)


def _start(context: ServiceContext) -> Service:
    from std_live_stream.live_stream import LiveStream

    return LiveStream(context.config, context.registry)


if __name__ == "__main__":
    sys.exit(main())
