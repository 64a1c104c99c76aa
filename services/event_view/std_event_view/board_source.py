"""BoardSource: follows the ring of events for the table of the boards, and for waveforms."""

import time
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from std_daq.errors import SharedMemoryError
from std_daq.telemetry.logs import ConditionLog
from std_daq.tpc.events.event import Event
from std_daq.tpc.view.board_table import BoardTable, table_text
from std_daq.tpc.view.reading_drawing import BOARDS, TextDrawing, WaveformDrawing

_MAX_EVENTS = 2000  # in one look


class Events(Protocol):
    """The events of the ring, in place."""

    def next(self, timeout_s: float | None = None) -> Event | None:
        """Return the next event, or None."""

    def close(self) -> None:
        """Release the ring."""


class BoardSource:
    """Counts all events, and keeps a copy of the newest for its samples.

    Parameters
    ----------
    events
        The ring.
    table
        What is counted.
    """

    def __init__(self, events: Events, table: BoardTable) -> None:
        self._events = events
        self._table = table
        self._epoch: int | None = None
        self._looked_s = time.monotonic()
        self._conditions = ConditionLog()
        self.newest: tuple[int, int, NDArray[np.int16]] | None = None
        """Epoch, id and traces of the newest event that was copied."""

    def follow(self) -> None:
        """Count what is new."""
        last = None
        try:
            for _ in range(_MAX_EVENTS):
                event = self._events.next(0)
                if event is None:
                    break
                self._count(event)
                last = event
        except SharedMemoryError as error:
            self._conditions.warning("ring_unreadable", error=str(error))
        if last is not None and (whole := last.copy()) is not None:
            self.newest = (whole.epoch, whole.id, whole.traces)

    def table(self, now_s: float) -> TextDrawing:
        """Return the table; looks at the samples of the newest event."""
        if self.newest is not None:
            self._table.look(self.newest[2])
        rows = self._table.rows(now_s - self._looked_s)
        self._looked_s = now_s
        run = "" if self._epoch is None else f"**run {self._epoch}**\n\n"
        return TextDrawing(BOARDS, run + table_text(rows, self._table.n_looked_at))

    def waveforms(self, pads: tuple[int, ...]) -> WaveformDrawing | None:
        """Return the waveforms of the newest event; without pads, of the pad with the largest sample."""
        if self.newest is None:
            return None
        epoch, event_id, traces = self.newest
        if not pads and len(traces):
            pads = (int(traces[traces[:, 5:].max(axis=1).argmax(), 4]),)
        return WaveformDrawing.of_traces(epoch, event_id, traces, pads)

    def close(self) -> None:
        """Release the ring."""
        self._events.close()

    def _count(self, event: Event) -> None:
        if event.epoch != self._epoch:
            self._epoch = event.epoch
            self._table.reset()
        self._table.count([(int(cobo), int(asad)) for cobo, asad in event.missing_boards])
