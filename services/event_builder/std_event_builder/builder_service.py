"""BuilderService: reads the exporters, has events built, and hands them to the publisher."""

import threading
import time
from contextlib import ExitStack

from std_daq.telemetry.logs import ConditionLog
from std_daq.tpc.building.board_frame import BoardFrame, FrameOutcome
from std_daq.tpc.building.event_builder import EventBuilder
from std_daq.tpc.building.run_events import BuiltEvent
from std_daq.tpc.frames.frame import Frame
from std_daq.tpc.frames.records import TOPOLOGY
from std_event_builder.event_publisher import EventPublisher
from std_event_builder.exporter import MAX_TURN_BYTES, Exporter
from std_event_builder.exporters import Exporters

FRAME_OBJECT_BYTES = 2048
"""What a frame that waits takes beside its bytes, which counts: frames without samples take ten times their size."""
_WAIT_S = 0.05
_WAIT_WITH_EVENTS_S = 0.02
# So long after the last look at time limits, one is taken even if more has arrived than can be read.
_MAX_BUSY_NS = 1_000_000_000


class BuilderService:
    """The service.

    Parameters
    ----------
    builder
        Brings the boards together.
    exporters
        The connections.
    publisher
        Decodes and publishes events.
    stop
        Set when the service has been told to end.
    resources
        What is closed at the end.
    """

    def __init__(
        self,
        builder: EventBuilder[Frame],
        exporters: Exporters,
        publisher: EventPublisher,
        stop: threading.Event,
        resources: ExitStack,
    ) -> None:
        self._builder = builder
        self._exporters = exporters
        self._publisher = publisher
        self._stop = stop
        self._resources = resources
        self._looked_ns = time.monotonic_ns()
        self._conditions = ConditionLog()
        self._n_disputed = 0

    @property
    def is_ready(self) -> bool:
        """Whether events would be built; exporters may come later."""
        return self._publisher.failure is None

    def step(self) -> None:
        """Read what has arrived, or wait for it, and give out the events that are complete or due."""
        if self._publisher.failure is not None:
            raise self._publisher.failure
        self._exporters.attend(time.monotonic())
        ready = self._exporters.ready(_WAIT_WITH_EVENTS_S if self._builder.n_open else _WAIT_S)
        begun_ns = time.monotonic_ns()
        is_all_read = True
        for exporter in ready:
            if self._stop.is_set():
                return
            is_all_read &= self._read(exporter)
        # Everything that had arrived when this step began is read: no frame of an event that is due waits in a socket.
        if is_all_read or begun_ns - self._looked_ns > _MAX_BUSY_NS:
            self._looked_ns = begun_ns
            self._publisher.put(self._builder.poll(begun_ns))
            self._tell_disputes()

    def close(self) -> None:
        """Give out what waits, and release all resources, within a second."""
        self._publisher.put(self._builder.flush())
        self._resources.close()

    def _read(self, exporter: Exporter) -> bool:
        """Read one exporter, and return whether that was all that it had sent."""
        n_before = exporter.n_bytes
        builder = self._builder
        for frames in self._exporters.read(exporter, time.monotonic(), builder.connect, builder.disconnect):
            now_ns = time.monotonic_ns()
            events: list[BuiltEvent[Frame]] = []
            for frame in frames:
                events += self._take(exporter.index, frame, now_ns)
            self._publisher.put(events)
        return exporter.n_bytes - n_before < MAX_TURN_BYTES and not exporter.has_rest

    def _tell_disputes(self) -> None:
        """Log when another exporter begins to send a board."""
        if len(self._builder.disputed) > self._n_disputed:
            self._n_disputed = len(self._builder.disputed)
            (cobo, asad), source = next(reversed(self._builder.disputed))
            self._conditions.warning(
                "board_from_two_exporters",
                board=[cobo, asad],
                refused=self._exporters.all[source].address,
                used=self._exporters.all[self._builder.states[cobo, asad].source].address,
                remedy="name one exporter for each board in exporters",
            )

    def _take(self, source: int, frame: Frame, now_ns: int) -> list[BuiltEvent[Frame]]:
        if frame.has_samples:
            n_bytes = len(frame.data) + FRAME_OBJECT_BYTES
            piece = BoardFrame(source, frame.board, frame.event_id, frame.event_time, frame, n_bytes, now_ns)
            return self._builder.feed(piece)
        if frame.frame_type == TOPOLOGY:
            return self._builder.announce(source, int(frame.header["cobo"]), frame.announced_boards)
        self._builder.count(source, FrameOutcome.UNEXPECTED)
        return []
