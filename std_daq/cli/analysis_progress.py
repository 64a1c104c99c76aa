"""The progress of an analysis on standard error: a bar on a terminal, otherwise a log line every few seconds."""

import sys
import time
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from std_daq.telemetry.logs import get_logger
from std_daq.telemetry.terminal_console import TerminalConsole

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
        self._is_terminal = sys.stderr.isatty()
        self._next_log = time.monotonic() + _LOG_PERIOD_S
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=TerminalConsole(is_error=True),
            transient=True,
            disable=not self._is_terminal,
        )
        self._task = self._progress.add_task("events", total=n_events)

    def add(self, n_events: int) -> None:
        """Count events that are done."""
        self._n_done += n_events
        self._progress.advance(self._task, n_events)
        if not self._is_terminal and time.monotonic() >= self._next_log:
            self._next_log = time.monotonic() + _LOG_PERIOD_S
            get_logger().info("events_analysed", n_done=self._n_done, n_events=self._n_events)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()
