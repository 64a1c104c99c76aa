"""The command ``std-assembler``."""

import sys
from collections.abc import Sequence

from std_daq.service import Service, ServiceContext, run_service, service_parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the service; returns its exit code."""
    parser = service_parser("std-assembler", "Corrects and places frames into the ImageBuffer.")
    return run_service(parser, argv, _start)


def _start(context: ServiceContext) -> Service:
    from std_assembler.assembler import Assembler

    return Assembler(context)


if __name__ == "__main__":
    sys.exit(main())
