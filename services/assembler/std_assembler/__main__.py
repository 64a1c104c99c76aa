"""The command ``std-assembler``."""

import sys
from collections.abc import Sequence

from std_assembler.service import SERVICE
from std_daq.imaging.config.model import DetectorConfig
from std_daq.service import Service, ServiceContext, run_service


def main(argv: Sequence[str] | None = None) -> int:
    """Run the service; returns its exit code."""
    return run_service(SERVICE, argv, _start)


def _start(context: ServiceContext[DetectorConfig]) -> Service:
    from std_assembler.assembler import Assembler

    return Assembler(context)


if __name__ == "__main__":
    sys.exit(main())
