"""The command ``std-live-stream``."""

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from std_daq.errors import ConfigError
from std_daq.imaging.config.model import DetectorConfig
from std_daq.service import ServiceContext, run_service
from std_live_stream.service import SERVICE

if TYPE_CHECKING:
    from std_live_stream.live_stream import LiveStream

_MAX_PIXEL_BYTES = 4


def main(argv: Sequence[str] | None = None) -> int:
    """Run the service, and return its exit code."""
    return run_service(SERVICE, argv, start)


def start(context: ServiceContext[DetectorConfig]) -> "LiveStream":
    """Build the parts of the service and put them together."""
    from std_daq.imaging.buffers.image_reader import ImageReader
    from std_live_stream.header_keys import HeaderKeys
    from std_live_stream.live_stream import LiveStream
    from std_live_stream.metrics import LiveStreamMetrics
    from std_live_stream.output import Outputs

    config = context.config
    if not config.live_stream_configs:
        raise ConfigError(
            "no stream is configured",
            key="live_stream_configs",
            remedy='add one, such as {"tcp://127.0.0.1:20000": {"type": "periodic", "config": [1, 10]}}',
        )
    height, width = config.image_shape
    with ExitStack() as opened:  # a service that cannot start leaves nothing open
        images = opened.enter_context(ImageReader(config, copy=False))
        outputs = Outputs(config.live_stream_configs, image_bytes=height * width * _MAX_PIXEL_BYTES)
        opened.callback(outputs.close)
        service = LiveStream(
            images=images,
            outputs=outputs,
            header_keys=HeaderKeys(config),
            metrics=LiveStreamMetrics(context.registry),
        )
        opened.pop_all()
    return service


if __name__ == "__main__":
    sys.exit(main())
