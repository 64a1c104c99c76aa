"""The progress of a run on standard error: a bar on a terminal, otherwise a log line every few seconds."""

import math
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from std_daq.client import RequestedRun, RunReport, StatusMessage
from std_daq.errors import BrokerBlockedError
from std_daq.telemetry.logs import get_logger
from std_daq.telemetry.terminal_console import TerminalConsole

FIRST_ANSWER_S = 3.0
LOG_PERIOD_S = 5.0
_POLL_S = 0.2


class RunProgress:
    """A context manager that follows a run and shows its progress.

    Parameters
    ----------
    run
        The run.
    n_images
        Number of images requested; None if the run continues until it is killed.
    """

    def __init__(self, run: RequestedRun, n_images: int | None) -> None:
        self._run = run
        self._is_terminal = sys.stderr.isatty()
        self._log = get_logger()
        self._next_log = 0.0
        self._is_kill_late = False
        self._why_silent: str | None = None
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=TerminalConsole(is_error=True),
            transient=True,
            disable=not self._is_terminal,
        )
        self._task = self._progress.add_task("sent", total=n_images)

    def follow(self, is_kill_asked: Callable[[], bool]) -> RunReport:
        """Show each status until the run ends; returns the report.

        Parameters
        ----------
        is_kill_asked
            Called again and again. When it returns True, the run is killed; the method still waits for the verdict.
        """
        run = self._run
        is_killed = False
        answer_due = time.monotonic() + FIRST_ANSWER_S
        while run.report is None:
            self._tell_silence()
            if is_kill_asked() and not is_killed:
                is_killed = self._try_to_kill()
            status = run.poll(_POLL_S)
            if status is not None:
                self._show(status)
            elif run.last_status is None and time.monotonic() > answer_due:
                answer_due = math.inf
                self._print_or_log("no writer agent has taken the request yet; the request waits in the queue")
        return run.report

    def _try_to_kill(self) -> bool:
        """Send a kill, and return whether the broker took it; if it takes no messages now, try again later."""
        try:
            self._run.kill()
        except BrokerBlockedError as error:
            if not self._is_kill_late:
                self._is_kill_late = True
                self._print_or_log(f"{error}; the kill is sent when that ends; press Ctrl-C again to leave at once")
            return False
        self._print_or_log("kill sent, waiting for the verdict; press Ctrl-C again to leave at once")
        return True

    def _tell_silence(self) -> None:
        """Tell when statuses cannot come any more, and when they can again."""
        why = self._run.why_silent
        if why == self._why_silent:
            return
        self._why_silent = why
        self._print_or_log(
            f"{why}; the run goes on, and its statuses wait" if why else "statuses of the run can come again"
        )

    def _print_or_log(self, message: str) -> None:
        if self._is_terminal:
            self._progress.console.print(message)
        else:
            self._log.info("run", request_id=self._run.request_id, message=message)

    def _show(self, status: StatusMessage) -> None:
        n_written = status.details.get("n_written")
        if isinstance(n_written, int):
            self._progress.update(self._task, completed=n_written)
        self._progress.update(self._task, description=status.message or str(status.action))
        is_log_due = not self._is_terminal and time.monotonic() >= self._next_log
        if status.report is None and (is_log_due or n_written is None):
            self._next_log = time.monotonic() + LOG_PERIOD_S
            if not self._is_terminal:
                self._log.info(str(status.action), request_id=self._run.request_id, message=status.message)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()
