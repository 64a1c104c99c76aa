"""The command ``std-event-builder``."""

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from std_daq.service import ServiceContext, run_service
from std_daq.tpc.config import TpcConfig
from std_event_builder.service import SERVICE

if TYPE_CHECKING:
    from std_daq.tpc.events.event_buffer import EventBuffer
    from std_daq.tpc.pads.plane import PadPlane
    from std_event_builder.builder_service import BuilderService


def main(argv: Sequence[str] | None = None) -> int:
    """Run the service, and return its exit code."""
    return run_service(SERVICE, argv, start)


def start(context: ServiceContext[TpcConfig]) -> "BuilderService":
    """Build the parts of the service and put them together."""
    from std_daq.streams.doorbell import DoorbellPublisher
    from std_daq.tpc.boards import expected_boards
    from std_daq.tpc.building.event_builder import EventBuilder
    from std_daq.tpc.events.paths import events_address
    from std_daq.tpc.frames.event_decoder import EventDecoder
    from std_daq.tpc.pads.load import load_pads
    from std_event_builder.builder_service import BuilderService
    from std_event_builder.compilation import compile_kernels
    from std_event_builder.event_publisher import EventPublisher
    from std_event_builder.exporters import Exporters
    from std_event_builder.held_frames import keep_frame
    from std_event_builder.metrics import BuilderCollector
    from std_event_builder.publisher_metrics import PublisherMetrics

    config = context.config
    options = config.builder
    plane = load_pads(config.pads)
    boards = expected_boards(config.boards, plane)
    compile_kernels()
    memory_bytes = int(options.ram_buffer_gb * 1e9)
    with ExitStack() as opened:
        events, first_epoch = _open_events(config, plane)
        opened.callback(events.close)
        doorbell = DoorbellPublisher(events_address(config))
        opened.callback(doorbell.close)
        builder = EventBuilder(
            len(config.exporters),
            boards,
            time_limit_ns=int(options.time_limit_s * 1e9),
            max_held_bytes=memory_bytes,
            first_epoch=first_epoch,
            keep=keep_frame,
        )
        publisher = EventPublisher(
            events,
            EventDecoder(plane),
            doorbell,
            PublisherMetrics(context.registry),
            max_waiting_bytes=memory_bytes,
            keeps_frames=options.keep_frames,
        )
        opened.callback(publisher.close)
        exporters = Exporters(
            config.exporters, max_frame_bytes=options.max_frame_bytes, reconnect_s=options.reconnect_s
        )
        opened.callback(exporters.close)
        collector = BuilderCollector(context.registry, builder, exporters, publisher)
        opened.callback(collector.close)
        return BuilderService(
            builder=builder, exporters=exporters, publisher=publisher, stop=context.stop, resources=opened.pop_all()
        )


def _open_events(config: TpcConfig, plane: "PadPlane") -> "tuple[EventBuffer, int]":
    """Return the ring of events, and the number of its next run: after a restart, ids may come again."""
    from std_daq.shm.journal import MAX_EPOCH
    from std_daq.telemetry.logs import get_logger
    from std_daq.tpc.events.event_buffer import EventBuffer
    from std_daq.tpc.events.paths import event_buffer_path
    from std_event_builder.ring import plan_ring

    events, is_new = EventBuffer.create_planned(event_buffer_path(config), plan_ring(config, plane))
    try:
        events.segment.lock(0, "the event builder of this chamber")
    except BaseException:
        events.close()
        raise
    events.take_over()
    last = events.journal.read(max(0, events.journal.next_sequence - events.geometry.n_entries), 2**32).entries
    get_logger().info("ring_opened", path=str(events.segment.path), max_traces=events.max_traces, is_new=is_new)
    epochs = last["epoch"][last["epoch"] < MAX_EPOCH]  # others are damaged
    return events, int(epochs.max()) + 1 if len(epochs) else 0


if __name__ == "__main__":
    sys.exit(main())
