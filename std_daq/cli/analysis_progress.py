"""The progress of an analysis on standard error: a bar on a terminal, otherwise a log line every few seconds."""

import time
from types import TracebackType
from typing import Self

from std_daq.telemetry.logs import get_logger
from std_daq.telemetry.progress_bars import progress_bars

_LOG_PERIOD_S = 5.0


class AnalysisProgress:
    """A context manager that shows how many events are done.

    Parameters
    ----------
    n_events
        All events; None if their number is not known.
    """

    def __init__(self, n_events: int | None) -> None:
        self._n_events = n_events
        self._n_done = 0
        self._next_log = time.monotonic() + _LOG_PERIOD_S
        self._progress = progress_bars()
        self._task = self._progress.add_task("events", total=n_events)

    def add(self, n_events: int) -> None:
        """Count events that are done."""
        self._n_done += n_events
        self._progress.advance(self._task, n_events)
        if self._progress.disable and time.monotonic() >= self._next_log:
            self._next_log = time.monotonic() + _LOG_PERIOD_S
            get_logger().info("events_analysed", n_done=self._n_done, n_events=self._n_events)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.live.transient = error is None  # the report follows; whoever leaves early keeps the last state
        self._progress.stop()
