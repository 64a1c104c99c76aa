"""The progress of the runs of several detectors: a bar for each on a terminal, otherwise log lines."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from std_daq.client import StatusMessage
from std_daq.client.run_group import GroupReport, RunGroup
from std_daq.errors import BrokerError
from std_daq.telemetry.logs import get_logger
from std_daq.telemetry.progress_bars import progress_bars

LOG_PERIOD_S = 5.0


class GroupProgress:
    """A context manager that follows runs and shows their progress.

    Parameters
    ----------
    group
        The runs.
    n_images
        Number of images requested of each detector; None if the runs continue until they are killed.
    """

    def __init__(self, group: RunGroup, n_images: int | None) -> None:
        self._group = group
        self._log = get_logger()
        self._bars = progress_bars()
        self._tasks = {
            name: self._bars.add_task(f"{name}: waiting for a writer agent", total=n_images) for name in group.runs
        }
        self._next_log_s = dict.fromkeys(group.runs, 0.0)

    def follow(self, is_kill_asked: Callable[[], bool]) -> GroupReport:
        """Show each status until all runs have ended; kill all runs once this is asked for."""
        is_killed = False
        while (report := self._group.report) is None:
            if is_kill_asked() and not is_killed:
                is_killed = True
                self._kill()
            for name, status in self._group.poll():
                self._take(name, status)
        return report

    def _kill(self) -> None:
        try:
            self._group.kill()
        except BrokerError as error:
            self._tell(f"{error}; press Ctrl-C again to leave at once")
        else:
            self._tell("kills sent, waiting for the verdict; press Ctrl-C again to leave at once")

    def _tell(self, message: str) -> None:
        if self._bars.disable:
            self._log.info("run", message=message)
        else:
            self._bars.console.print(message)

    def _take(self, name: str, status: StatusMessage) -> None:
        what = status.message or str(status.action)
        n_written = status.details.get("n_written")
        self._bars.update(self._tasks[name], description=f"{name}: {what}")
        if isinstance(n_written, int):
            self._bars.update(self._tasks[name], completed=n_written)
        now_s = time.monotonic()
        if self._bars.disable and (n_written is None or now_s >= self._next_log_s[name]):
            self._next_log_s[name] = now_s + LOG_PERIOD_S
            self._log.info(str(status.action), detector=name, request_id=status.request_id, message=what)

    def __enter__(self) -> Self:
        """Tell the request of each detector: whoever leaves needs the ids."""
        for name, run in self._group.runs.items():
            if self._bars.disable:
                self._log.info("requested", detector=name, request_id=run.request_id)
            else:
                self._bars.console.print(f"request {run.request_id} of {name}", soft_wrap=True)
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.live.transient = error is None
        self._bars.stop()
