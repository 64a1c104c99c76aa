"""The command ``std-stream-send``."""

import sys
from collections.abc import Sequence

from std_daq.imaging.config.model import DetectorConfig
from std_daq.service import Service, ServiceContext, run_service
from std_stream_send.service import SERVICE


def main(argv: Sequence[str] | None = None) -> int:
    """Run the service, and return its exit code."""
    return run_service(SERVICE, argv, start)


def start(context: ServiceContext[DetectorConfig]) -> Service:
    """Build the parts of the service and put them together."""
    from functools import partial

    from std_daq.imaging.buffers.image_buffer import ImageBuffer
    from std_daq.imaging.config.paths import image_buffer_path, images_address
    from std_daq.streams.doorbell import Doorbell
    from std_daq.streams.tcp.identity import TlsIdentity
    from std_daq.streams.tcp.router import TcpRouter
    from std_stream_send.metrics import SenderMetrics
    from std_stream_send.sender import StreamSender
    from std_stream_send.service import tls_files

    config = context.config
    replication = config.replication
    index = context.arguments.sender
    sender = replication.send[index]
    identity = None
    if sender.tls is not None:
        identity = TlsIdentity(tls_files(sender.tls, index), is_server=True)
    return StreamSender(
        detector_name=config.name,
        router=TcpRouter(sender.address, timeout_s=replication.timeout_s, identity=identity),
        doorbell=Doorbell(images_address(config)),
        attach=partial(ImageBuffer.attach, image_buffer_path(config)),
        metrics=SenderMetrics(context.registry, context.instance),
        timeout_s=replication.timeout_s,
    )


if __name__ == "__main__":
    sys.exit(main())
