"""EventPublisher: decodes events and publishes them, in a thread of its own.

Reading must never wait for decoding: an exporter keeps what its client does not read, without bound. If decoding cannot
keep pace, the oldest events that wait are published without their samples, and counted.
"""

import threading
import time
from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from std_daq.streams.doorbell import DoorbellPublisher
from std_daq.telemetry.logs import ConditionLog, get_logger
from std_daq.tpc.building.run_events import BuiltEvent
from std_daq.tpc.events.board_bits import boards_to_bits
from std_daq.tpc.events.event_buffer import EventBuffer
from std_daq.tpc.frames.event_decoder import EventDecoder
from std_daq.tpc.frames.frame import Frame
from std_event_builder.publisher_metrics import PublisherMetrics

_END_S = 0.5
_LOOK_S = 0.1


class EventPublisher:
    """Decodes events into the ring and tells of them, in the order in which they are put.

    Parameters
    ----------
    events
        The ring.
    decoder
        Makes the rows of an event.
    doorbell
        Tells of new events.
    metrics
        The metrics of published events.
    max_waiting_bytes
        Size of the frames of the events that may wait.
    keeps_frames
        Whether the frames are kept in the ring with their event.

    Attributes
    ----------
    failure
        What has ended the thread; None while it runs.
    """

    def __init__(
        self,
        events: EventBuffer,
        decoder: EventDecoder,
        doorbell: DoorbellPublisher,
        metrics: PublisherMetrics,
        *,
        max_waiting_bytes: int,
        keeps_frames: bool = False,
    ) -> None:
        self._events = events
        self._decoder = decoder
        self._doorbell = doorbell
        self._metrics = metrics
        self._max_waiting_bytes = max_waiting_bytes
        self._keeps_frames = keeps_frames
        self._waiting: deque[BuiltEvent[Frame]] = deque()
        self._waiting_bytes = 0
        self._changed = threading.Condition()
        self._is_ending = False
        self._deadline_s = float("inf")
        self._conditions = ConditionLog()
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="event-publisher")
        self._thread.start()

    @property
    def n_waiting(self) -> int:
        """Number of events that wait to be decoded."""
        return len(self._waiting)

    @property
    def item_counts(self) -> dict[str, int]:
        """What became of the items of all frames until now."""
        return {count.name.lower(): n for count, n in self._decoder.item_counts.items()}

    def put(self, events: Sequence[BuiltEvent[Frame]]) -> None:
        """Let events be published; never waits."""
        if not events:
            return
        with self._changed:
            self._waiting.extend(events)
            self._waiting_bytes += sum(event.n_bytes for event in events)
            if self._waiting_bytes > self._max_waiting_bytes:
                self._empty_oldest()
            self._changed.notify()

    def close(self) -> None:
        """Publish what waits, for half a second at most, and end."""
        with self._changed:
            self._is_ending = True
            self._deadline_s = time.monotonic() + _END_S
            self._changed.notify()
        self._thread.join()
        if self._waiting:
            get_logger().warning("events_not_published", n=len(self._waiting), first_id=self._waiting[0].id)

    def _empty_oldest(self) -> None:
        """Take the frames out of the oldest events, which stay in their order."""
        n = 0
        for index, event in enumerate(self._waiting):
            if self._waiting_bytes <= self._max_waiting_bytes:
                break
            if event.payloads:
                missing = tuple(sorted((*event.missing, *event.payloads)))
                self._waiting[index] = event._replace(payloads={}, missing=missing, n_bytes=0)
                self._waiting_bytes -= event.n_bytes
                n += 1
        self._metrics.emptied.inc(n)
        self._conditions.warning("events_emptied", n=n, why="decoding is slower than the exporters send")

    def _run(self) -> None:
        try:
            while (event := self._next()) is not None:
                self._publish(event)
        except Exception as error:  # noqa: BLE001 - the main thread ends the service with it
            self.failure = error

    def _next(self) -> BuiltEvent[Frame] | None:
        with self._changed:
            while not self._waiting:
                if self._is_ending:
                    return None
                self._changed.wait(_LOOK_S)
            if time.monotonic() > self._deadline_s:
                return None
            event = self._waiting.popleft()
            self._waiting_bytes -= event.n_bytes
            return event

    def _kept(self, n_traces: int, frames: Sequence[Frame]) -> list[NDArray[np.uint8]]:
        """Return the bytes of the frames that go into the ring with their event."""
        if not self._keeps_frames:
            return []
        if not self._events.fits(n_traces, sum(len(frame.data) for frame in frames)):
            self._metrics.without_frames.inc()
            self._conditions.warning("frames_not_kept", n=len(frames), why="they do not fit into the ring")
            return []
        return [frame.data for frame in frames]

    def _publish(self, event: BuiltEvent[Frame]) -> None:
        frames = [event.payloads[board] for board in sorted(event.payloads)]
        n_traces = self._decoder.plan(frames)
        self._decoder.fill(self._events.begin_event(n_traces, self._kept(n_traces, frames)))
        waited_ns = time.monotonic_ns() - event.first_ns
        built_ns = time.time_ns()
        entry = self._events.publish(
            event_id=event.id,
            epoch=event.epoch,
            n_traces=n_traces,
            timestamp=event.timestamp,
            timestamp_other=event.timestamp_other,
            n_boards=event.n_boards,
            missing_bits=boards_to_bits(event.missing),
            first_arrival_ns=built_ns - waited_ns,
            built_ns=built_ns,
        )
        self._doorbell.ring(entry)
        self._metrics.count(n_traces, waited_ns / 1e9, built_ns / 1e9)
