"""The command ``std-h5-writer``."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from std_daq.imaging.config.model import DetectorConfig
from std_daq.service import Service, ServiceContext, run_service
from std_h5_writer.service import SERVICE

if TYPE_CHECKING:
    from std_daq.imaging.detectors.interface import Detector
    from std_h5_writer.pff_files import PffForm


def main(argv: Sequence[str] | None = None) -> int:
    """Run the service, and return its exit code."""
    return run_service(SERVICE, argv, start)


def start(context: ServiceContext[DetectorConfig]) -> Service:
    """Build the parts of the service and put them together."""
    from std_daq.imaging.config.paths import image_buffer_path
    from std_daq.imaging.detectors.registry import open_detector
    from std_daq.imaging.files import compression
    from std_daq.recording.addresses import store_address, store_reports_address
    from std_daq.recording.file_access import FileAccess
    from std_daq.recording.output_roots import check_output_roots
    from std_daq.streams.queue import PullQueue
    from std_h5_writer.compressor import OrderedCompressor
    from std_h5_writer.file_owner import FileOwner
    from std_h5_writer.metrics import WriterMetrics
    from std_h5_writer.reporter import Reporter
    from std_h5_writer.ring_reader import RingReader
    from std_h5_writer.run_description import RunDescriber
    from std_h5_writer.way_to_disk import WayToDisk
    from std_h5_writer.writer import H5Writer

    config = context.config
    writer: int = context.arguments.writer
    owner = FileOwner(config.writer_user_id, FileAccess.of_config(config.writer))
    check_output_roots(config, owner.access, owner.identity())
    detector = open_detector(config)
    describer = RunDescriber(config, detector)
    compression.compile_for(detector.image_dtype.itemsize)
    compressor = OrderedCompressor(config.writer.n_compression_threads)
    return H5Writer(
        inbox=PullQueue(store_address(config, writer), bind=False),
        reporter=Reporter(store_reports_address(config), writer, patience_s=config.writer.writer_timeout_s),
        ring=RingReader(image_buffer_path(config)),
        compressor=compressor,
        describer=describer,
        owner=owner,
        way_to_disk=WayToDisk(is_direct=config.writer.direct_io),
        metrics=WriterMetrics(context.registry, context.instance),
        flush_interval_s=config.writer.flush_interval_s,
        pff=_pff_form(detector),
    )


def _pff_form(detector: "Detector") -> "PffForm | None":
    """Return how PFF files of a telescope are written; None for other detectors."""
    from std_daq.telescope.boards import Telescope
    from std_h5_writer.pff_files import PffForm

    if not isinstance(detector, Telescope):
        return None
    return PffForm(detector.product, int(detector.options.max_pff_file_mb * 1e6))


if __name__ == "__main__":
    sys.exit(main())
