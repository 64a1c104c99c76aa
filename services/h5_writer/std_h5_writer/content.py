"""WriterContent: what the writer must know of the system whose data it writes, images or events."""

from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import Any

from std_daq.errors import ConfigError
from std_daq.imaging.config.model import DetectorConfig
from std_daq.recording.config import RecordingConfig
from std_daq.recording.recorded import Recorded
from std_daq.tpc.config import TpcConfig
from std_h5_writer.compression import Compressor, NoCompressor
from std_h5_writer.file_owner import FileOwner
from std_h5_writer.files_of_run import FileMaker
from std_h5_writer.ring_reader import RingReader


@dataclass(frozen=True, slots=True)
class WriterContent:
    """What is recorded, where it lies, and what files it becomes."""

    recorded: Recorded
    ring: RingReader[Any, Any]
    compressor: Compressor
    files: FileMaker


def content_of(config: RecordingConfig, owner: FileOwner) -> WriterContent:
    """Return the content of a system; raises ConfigError if a file that the configuration names is wrong."""
    if isinstance(config, DetectorConfig):
        return _images_of(config, owner)
    if isinstance(config, TpcConfig):
        return _events_of(config, owner)
    raise ConfigError(f"the writer writes neither images nor events of a {type(config).__name__}")


def _images_of(config: DetectorConfig, owner: FileOwner) -> WriterContent:
    from std_daq.imaging.buffers.image_buffer import ImageBuffer
    from std_daq.imaging.config.paths import image_buffer_path
    from std_daq.imaging.detectors.registry import open_detector
    from std_daq.imaging.files import compression
    from std_daq.imaging.recording import IMAGES
    from std_daq.telescope.boards import Telescope
    from std_h5_writer.compressor import OrderedCompressor
    from std_h5_writer.image_file_maker import ImageFileMaker
    from std_h5_writer.pff_files import PffForm
    from std_h5_writer.run_description import RunDescriber

    detector = open_detector(config)
    pff = None
    if isinstance(detector, Telescope):
        pff = PffForm(detector.product, int(detector.options.max_pff_file_mb * 1e6))
    compression.compile_for(detector.image_dtype.itemsize)
    return WriterContent(
        recorded=IMAGES,
        ring=RingReader(partial(ImageBuffer.attach, image_buffer_path(config)), attrgetter("pixels")),
        compressor=OrderedCompressor(config.writer.n_compression_threads),
        files=ImageFileMaker(RunDescriber(config, detector), owner, pff),
    )


def _events_of(config: TpcConfig, owner: FileOwner) -> WriterContent:
    from std_daq.tpc.events.event_buffer import EventBuffer
    from std_daq.tpc.events.paths import event_buffer_path
    from std_daq.tpc.pads.load import load_pads
    from std_daq.tpc.recording import EVENTS
    from std_h5_writer.event_file_maker import EventFileMaker

    return WriterContent(
        recorded=EVENTS,
        ring=RingReader(partial(EventBuffer.attach, event_buffer_path(config)), attrgetter("traces")),
        compressor=NoCompressor(),
        files=EventFileMaker(config, load_pads(config.pads), owner),
    )
