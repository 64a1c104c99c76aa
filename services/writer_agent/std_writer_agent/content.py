"""AgentContent: what the writer agent must know of the system whose data it records, images or events."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from std_daq.errors import ConfigError
from std_daq.imaging.config.model import DetectorConfig
from std_daq.recording.config import RecordingConfig
from std_daq.recording.recorded import Recorded
from std_daq.shm.entry_ring import EntryRing
from std_daq.tpc.config import TpcConfig
from std_writer_agent.reception_watch import ReceptionWatch
from std_writer_agent.request_rules import RequestRules


@dataclass(frozen=True, slots=True)
class AgentContent:
    """What is recorded, where it lies, and what may be asked.

    Attributes
    ----------
    recorded
        What is recorded.
    attach
        Attaches to its ring; raises SharedMemoryError while there is none.
    rules
        Rules for requests.
    reception
        Tells what the receivers see.
    """

    recorded: Recorded
    attach: Callable[[], EntryRing[Any]]
    rules: RequestRules
    reception: ReceptionWatch


def content_of(config: RecordingConfig) -> AgentContent:
    """Return the content of a system; raises ConfigError if a file that the configuration names is wrong."""
    if isinstance(config, DetectorConfig):
        return _images_of(config)
    if isinstance(config, TpcConfig):
        return _events_of(config)
    raise ConfigError(f"the writer agent records neither images nor events of a {type(config).__name__}")


def _images_of(config: DetectorConfig) -> AgentContent:
    from std_daq.imaging.buffers.image_buffer import ImageBuffer
    from std_daq.imaging.config.paths import image_buffer_path
    from std_daq.imaging.detectors.interface import is_board_detector
    from std_daq.imaging.detectors.registry import open_detector
    from std_daq.imaging.reception import read_receptions
    from std_daq.imaging.recording import IMAGES
    from std_writer_agent.image_rules import ImageRules

    height, width = config.image_shape
    detector = open_detector(config)
    formats = ("hdf5", *detector.file_formats) if is_board_detector(detector) else ("hdf5",)
    return AgentContent(
        recorded=IMAGES,
        attach=partial(ImageBuffer.attach, image_buffer_path(config)),
        rules=ImageRules(config.nexus, height * width * detector.image_dtype.itemsize, formats),
        reception=ReceptionWatch(lambda: read_receptions(config)),
    )


def _events_of(config: TpcConfig) -> AgentContent:
    from std_daq.tpc.events.event_buffer import EventBuffer
    from std_daq.tpc.events.paths import event_buffer_path
    from std_daq.tpc.pads.load import load_pads
    from std_daq.tpc.recording import EVENTS
    from std_writer_agent.event_rules import EventRules

    return AgentContent(
        recorded=EVENTS,
        attach=partial(EventBuffer.attach, event_buffer_path(config)),
        rules=EventRules(load_pads(config.pads), keeps_frames=config.builder.keep_frames),
        reception=ReceptionWatch(list),
    )
