"""The command ``std-intensity``."""

import sys
from collections.abc import Sequence

from std_daq.imaging.config.model import DetectorConfig
from std_daq.service import Service, ServiceContext, run_service
from std_daq_intensity.service import NAME, SERVICE, IntensityOptions


def main(argv: Sequence[str] | None = None) -> int:
    """Run the service, and return its exit code."""
    return run_service(SERVICE, argv, start)


def start(context: ServiceContext[DetectorConfig]) -> Service:
    """Build the parts of the service and put them together."""
    from std_daq.imaging.buffers.image_reader import ImageReader
    from std_daq.service.registry import parse_service_options
    from std_daq_intensity.metrics import IntensityMetrics
    from std_daq_intensity.monitor import IntensityMonitor

    options = parse_service_options(context.config, NAME, IntensityOptions)
    height, width = context.config.image_shape
    x0, y0, x1, y1 = options.region or (0, 0, width - 1, height - 1)
    return IntensityMonitor(
        images=ImageReader(context.config),
        metrics=IntensityMetrics(context.registry),
        region=(slice(y0, y1 + 1), slice(x0, x1 + 1)),
        period_s=options.period_s,
    )


if __name__ == "__main__":
    sys.exit(main())
