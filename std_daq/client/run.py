"""RequestedRun: a write request that was sent, and what becomes of it."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from std_daq.recording.request_channel import RequestPublisher
from std_daq.recording.requests import Action, RunReport, StatusMessage, Verdict
from std_daq.recording.status_channel import StatusListener

_MAX_WAIT_S = 0.5

_VERDICTS = {Action.SUCCESS: Verdict.COMPLETE, Action.FAIL: Verdict.FAILED, Action.KILLED: Verdict.KILLED}


class RequestedRun:
    """A request of which every status is heard; a context manager, which stops listening at its end.

    Parameters
    ----------
    request_id
        Id of the request.
    listener
        Has been listening since before the request was sent; belongs to the run.
    publisher
        For kills.
    n_requested
        For the report, where the writer gives none.

    Attributes
    ----------
    report
        How the run ended; None while it has not.
    last_status
        What was heard last; None before the first.
    """

    def __init__(
        self, request_id: str, listener: StatusListener, publisher: RequestPublisher, n_requested: int | None = None
    ) -> None:
        self.request_id = request_id
        self.report: RunReport | None = None
        self.last_status: StatusMessage | None = None
        self._listener = listener
        self._publisher = publisher
        self._n_requested = n_requested

    def poll(self, timeout_s: float = 0.0) -> StatusMessage | None:
        """Return the next status of this run, None where there is none in time.

        Raises
        ------
        BrokerError
            The run has been closed.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            status = self._listener.receive(max(deadline - time.monotonic(), 0.0))
            if status is None:
                return None
            if status.request_id == self.request_id:
                self._apply_status(status)
                return status

    def wait(
        self, timeout_s: float | None = None, on_progress: Callable[[StatusMessage], None] | None = None
    ) -> RunReport:
        """Wait for the end of the run, and stop listening then.

        Parameters
        ----------
        timeout_s
            The longest wait; without it as long as it takes, also through outages of the broker.
        on_progress
            Called with each status as it comes.

        Returns
        -------
        RunReport
            The verdict and what was written.

        Raises
        ------
        TimeoutError
            The run goes on; wait again, or kill it.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while self.report is None:
            left_s = _MAX_WAIT_S if deadline is None else deadline - time.monotonic()
            if left_s <= 0:
                raise TimeoutError(f"run {self.request_id} has not ended within {timeout_s} s")
            status = self.poll(min(left_s, _MAX_WAIT_S))
            if status is not None and on_progress is not None:
                on_progress(status)
        self.close()
        return self.report

    def kill(self) -> None:
        """Ask for the end of the run; what has been taken is still written. `wait` tells when it has ended.

        Raises
        ------
        BrokerError
            The broker did not take it.
        """
        self._publisher.kill(self.request_id)

    def close(self) -> None:
        """Stop listening; the run goes on."""
        self._listener.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _apply_status(self, status: StatusMessage) -> None:
        self.last_status = status
        if status.action.is_final and self.report is None:
            self.report = status.report or self._report_without_details(status)

    def _report_without_details(self, status: StatusMessage) -> RunReport:
        """Make up the report where a writer of the plain convention tells the action and a message only."""
        return RunReport(
            request_id=self.request_id,
            verdict=_VERDICTS[status.action],
            reason=status.message,
            n_requested=self._n_requested,
        )
