"""The command ``std-h5-writer``."""

import sys
from collections.abc import Sequence

from std_daq.recording.config import RecordingConfig
from std_daq.service import Service, ServiceContext, run_service
from std_h5_writer.service import SERVICE


def main(argv: Sequence[str] | None = None) -> int:
    """Run the service, and return its exit code."""
    return run_service(SERVICE, argv, start)


def start(context: ServiceContext[RecordingConfig]) -> Service:
    """Build the parts of the service and put them together."""
    from std_daq.recording.addresses import fence_path, store_address, store_reports_address
    from std_daq.recording.fence import Fence
    from std_daq.recording.file_access import FileAccess
    from std_daq.recording.output_roots import check_output_roots
    from std_daq.streams.queue import PullQueue
    from std_h5_writer.content import content_of
    from std_h5_writer.file_owner import FileOwner, check_users
    from std_h5_writer.metrics import WriterMetrics
    from std_h5_writer.reporter import Reporter
    from std_h5_writer.way_to_disk import WayToDisk
    from std_h5_writer.writer import H5Writer

    config = context.config
    writer: int = context.arguments.writer
    check_users(config.writer.users)
    owner = FileOwner(config.writer_user_id, FileAccess.of_config(config.writer), config.writer.output_roots)
    check_output_roots(config, owner.access, owner.identity())
    content = content_of(config, owner)
    return H5Writer(
        inbox=PullQueue(store_address(config, writer), bind=False),
        reporter=Reporter(store_reports_address(config), writer, patience_s=config.writer.writer_timeout_s),
        ring=content.ring,
        recorded=content.recorded,
        compressor=content.compressor,
        files=content.files,
        owner=owner,
        way_to_disk=WayToDisk(is_direct=config.writer.direct_io),
        fence=Fence(fence_path(config, writer)),
        metrics=WriterMetrics(context.registry, context.instance),
        flush_interval_s=config.writer.flush_interval_s,
    )


if __name__ == "__main__":
    sys.exit(main())
