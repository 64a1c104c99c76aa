"""The command ``std-stream-recv``."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from std_daq.imaging.config.model import DetectorConfig
from std_daq.service import Service, ServiceContext, run_service
from std_stream_recv.service import SERVICE

if TYPE_CHECKING:
    from std_daq.imaging.buffers.image_buffer import ImageBuffer


def main(argv: Sequence[str] | None = None) -> int:
    """Run the service, and return its exit code."""
    return run_service(SERVICE, argv, start)


def start(context: ServiceContext[DetectorConfig]) -> Service:
    """Build the parts of the service and put them together."""
    import time
    from functools import partial

    from std_daq.errors import ConfigError
    from std_daq.imaging.config.paths import images_address
    from std_daq.imaging.protocols.replication import MAX_MESSAGE_BYTES
    from std_daq.streams.doorbell import DoorbellPublisher
    from std_daq.streams.tcp.dealer import TcpDealer
    from std_daq.streams.tcp.identity import TlsIdentity
    from std_stream_recv.link import Link
    from std_stream_recv.metrics import ReceiverMetrics
    from std_stream_recv.plan import make_plans
    from std_stream_recv.publisher import ImagePublisher
    from std_stream_recv.receiver import StreamReceiver
    from std_stream_recv.service import tls_files

    config = context.config
    wanted = config.replication.receive
    if wanted is None:
        raise ConfigError("no source of images is configured", key="replication.receive")
    connect = partial(TcpDealer, max_message_bytes=MAX_MESSAGE_BYTES)
    tls = wanted.tls
    if tls is not None:
        identity = TlsIdentity(tls_files(tls), is_server=False)
        connect = partial(connect, identity=identity, server_name=tls.server_name)
    metrics = ReceiverMetrics(context.registry)
    ring = _open_images(config)
    metrics.slots.set(ring.n_slots)
    bell = DoorbellPublisher(images_address(config))
    publisher = ImagePublisher(ring, bell, metrics)
    return StreamReceiver(
        ring=ring,
        publisher=publisher,
        links=[Link(plan, connect, publisher.write_notes, time.monotonic) for plan in make_plans(config, wanted, ring)],
        metrics=metrics,
        timeout_s=config.replication.timeout_s,
        close_bell=bell.close,
    )


def _open_images(config: "DetectorConfig") -> "ImageBuffer":
    from std_daq.imaging.buffers.image_buffer import ImageBuffer
    from std_daq.imaging.config.paths import image_buffer_path
    from std_daq.imaging.detectors.registry import open_detector
    from std_daq.imaging.start_checks import plan_image_buffer
    from std_daq.telemetry.logs import get_logger

    geometry = plan_image_buffer(config, open_detector(config))
    images, is_new = ImageBuffer.create_planned(image_buffer_path(config), geometry)
    images.segment.lock(0, "the source of this detector's images")
    images.invalidate_unfinished()
    get_logger().info("ring_opened", path=str(images.segment.path), slots=images.n_slots, is_new=is_new)
    return images


if __name__ == "__main__":
    sys.exit(main())
