"""The progress of a run on standard error: a bar on a terminal, otherwise a log line every few seconds."""

import math
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from std_daq.client import RequestedRun, RunReport, StatusMessage
from std_daq.errors import BrokerBlockedError
from std_daq.recording.requests import Action
from std_daq.telemetry.logs import get_logger
from std_daq.telemetry.progress_bars import progress_bars

FIRST_ANSWER_S = 3.0
LOG_PERIOD_S = 5.0
_POLL_S = 0.2


class RunProgress:
    """A context manager that follows a run and shows its progress.

    Parameters
    ----------
    run
        The run.
    output_file
        The file that was asked for.
    n_images
        Number of images requested; None if the run continues until it is killed.
    """

    def __init__(self, run: RequestedRun, output_file: Path, n_images: int | None) -> None:
        self._run = run
        self._file = output_file
        self._begun_s = time.monotonic()
        self._what = "waiting for a writer agent"
        self._is_waiting = True
        self._log = get_logger()
        self._next_log_s = self._begun_s + LOG_PERIOD_S
        self._is_kill_late = False
        self._why_silent: str | None = None
        self._bars = progress_bars()
        self._task = self._bars.add_task(self._what, total=n_images)

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
                self._take(status)
            elif run.last_status is None and time.monotonic() > answer_due:
                answer_due = math.inf
                self._print_or_log("no writer agent has taken the request yet; the request waits in the queue")
            self._tell()
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
        if self._bars.disable:
            self._log.info("run", request_id=self._run.request_id, message=message)
        else:
            self._bars.console.print(message)

    def _take(self, status: StatusMessage) -> None:
        """Note what a status says; a new state is logged at once, and counts every few seconds."""
        n_written = status.details.get("n_written")
        self._is_waiting = n_written is None
        self._what = status.message or str(status.action)
        if isinstance(n_written, int):
            self._bars.update(self._task, completed=n_written)
        elif status.report is None and self._bars.disable:
            self._next_log_s = time.monotonic() + LOG_PERIOD_S
            self._log.info(str(status.action), request_id=self._run.request_id, message=status.message)

    def _tell(self) -> None:
        """Show how far the run is, or how long it has waited."""
        now_s = time.monotonic()
        waited_s = int(now_s - self._begun_s)
        self._bars.update(self._task, description=f"{self._what}, {waited_s} s" if self._is_waiting else self._what)
        if self._bars.disable and now_s >= self._next_log_s and self._run.report is None:
            self._next_log_s = now_s + LOG_PERIOD_S
            more = {"output_file": str(self._file), "waited_s": waited_s} if self._is_waiting else {}
            self._log.info(
                "waiting" if self._is_waiting else str(Action.PROGRESS),
                request_id=self._run.request_id,
                message=self._what,
                **more,
            )

    def __enter__(self) -> Self:
        """Tell which request it is, and for which file: whoever leaves needs the id."""
        if self._bars.disable:
            self._log.info("requested", request_id=self._run.request_id, output_file=str(self._file))
        else:
            for text in (f"request {self._run.request_id}", f"file    {self._file}"):
                self._bars.console.print(text, soft_wrap=True)
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.live.transient = error is None  # the report follows; whoever leaves early keeps the last state
        self._bars.stop()
