"""Metrics of an h5_writer."""

from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from std_daq.telemetry.reader_metrics import ReaderMetrics


class WriterState(StrEnum):
    """State of a writer."""

    IDLE = "idle"
    WRITING = "writing"
    DRAINED = "drained"
    FAILED = "failed"


class WriterMetrics:
    """Metrics of a writer.

    Parameters
    ----------
    registry
        Registry of the process.
    instance
        Name of this writer among the readers of the ring.
    """

    def __init__(self, registry: CollectorRegistry, instance: str) -> None:
        self.written = Counter("daq_writer_images_written", "Images or events written.", registry=registry)
        self.lost = Counter(
            "daq_writer_images_lost", "Images or events of a run that this writer could not write.", registry=registry
        )
        self.ignored = Counter(
            "daq_writer_messages_ignored", "Messages that do not belong to the writer's run.", registry=registry
        )
        self.written_directly = Counter(
            "daq_writer_images_written_directly", "Images or events written past the page cache.", registry=registry
        )
        self.written_bytes = Counter(
            "daq_writer_written_bytes", "Bytes of pixels written, after compression.", registry=registry
        )
        self.write_seconds = Histogram(
            "daq_writer_image_write_seconds",
            "Time to write an image, without its compression, or an event.",
            registry=registry,
            buckets=(0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0),
        )
        self.ring = ReaderMetrics(registry, instance)
        self._state = Gauge("daq_writer_state", "1 for the state of this writer.", ["state"], registry=registry)
        self.set_state(WriterState.IDLE)

    def set_state(self, state: WriterState) -> None:
        """Set the state of the writer."""
        for known in WriterState:
            self._state.labels(known).set(known is state)
