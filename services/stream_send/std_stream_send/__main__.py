"""The command ``std-stream-send``."""

import sys
from argparse import Namespace
from collections.abc import Sequence

from std_daq.config.model import DetectorConfig
from std_daq.errors import ConfigError
from std_daq.service import Service, ServiceContext, run_service, service_parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the service; returns its exit code."""
    parser = service_parser("std-stream-send", "Sends the images of the ImageBuffer to receivers on other servers.")
    parser.add_argument(
        "--sender", type=int, default=0, metavar="INDEX", help="which of replication.send this is, from 0 on"
    )
    return run_service(parser, argv, _start, _instance)


def _instance(arguments: Namespace, config: DetectorConfig) -> str:
    n_senders = len(config.replication.send)
    if not 0 <= arguments.sender < n_senders:
        raise ConfigError(
            f"there is no sender {arguments.sender}",
            key="replication.send",
            remedy=f"--sender takes 0 to {n_senders - 1}" if n_senders else "describe one there",
        )
    return f"stream-send-{arguments.sender}"


def _start(context: ServiceContext) -> Service:
    from functools import partial

    from std_daq.config.paths import image_buffer_path, images_address
    from std_daq.shm.image_buffer import ImageBuffer
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
        detector_name=config.detector_name,
        router=router,
        doorbell=Doorbell(images_address(config)),
        attach=partial(ImageBuffer.attach, image_buffer_path(config)),
        metrics=SenderMetrics(context.registry, context.instance),
        timeout_s=replication.timeout_s,
    )


if __name__ == "__main__":
    sys.exit(main())
