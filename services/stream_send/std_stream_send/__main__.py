"""The command ``std-stream-send``."""

import sys
from collections.abc import Sequence

from std_daq.imaging.config.model import DetectorConfig
from std_daq.service import Service, ServiceContext, run_service
from std_stream_send.service import SERVICE


def main(argv: Sequence[str] | None = None) -> int:
    """Run the service; returns its exit code."""
    return run_service(SERVICE, argv, _start)


def _start(context: ServiceContext[DetectorConfig]) -> Service:
    from functools import partial

    from std_daq.imaging.buffers.image_buffer import ImageBuffer
    from std_daq.imaging.config.paths import image_buffer_path, images_address
    from std_daq.streams.curve_keys import read_server_keys
    from std_daq.streams.doorbell import Doorbell
    from std_daq.streams.router import Router
    from std_daq.streams.tcp_router import TcpRouter
    from std_stream_send.metrics import SenderMetrics
    from std_stream_send.sender import StreamSender

    config = context.config
    replication = config.replication
    sender = replication.send[context.arguments.sender]
    router: Router | TcpRouter
    if sender.curve is None:
        router = TcpRouter(sender.address, timeout_s=replication.timeout_s)
    else:
        keys = read_server_keys(sender.curve.secret_key_file, sender.curve.clients)
        router = Router(sender.address, queue_messages=64, timeout_s=replication.timeout_s, keys=keys)
    return StreamSender(
        detector_name=config.name,
        router=router,
        doorbell=Doorbell(images_address(config)),
        attach=partial(ImageBuffer.attach, image_buffer_path(config)),
        metrics=SenderMetrics(context.registry, context.instance),
        timeout_s=replication.timeout_s,
    )


if __name__ == "__main__":
    sys.exit(main())
