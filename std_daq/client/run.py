"""RequestedRun: a write request that was sent, its statuses and its report."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from std_daq.client.run_facts import RunFacts
from std_daq.recording.request_channel import RequestPublisher
from std_daq.recording.requests import Action, RunReport, StatusMessage, Verdict
from std_daq.recording.status_channel import StatusListener

_MAX_WAIT_S = 0.5

_VERDICTS = {Action.SUCCESS: Verdict.COMPLETE, Action.FAIL: Verdict.FAILED, Action.KILLED: Verdict.KILLED}


class RequestedRun:
    """A context manager that receives every status of a request, and stops listening at its end.

    Parameters
    ----------
    request_id
        Id of the request.
    listener
        A listener that was started before the request was sent; the run closes it.
    publisher
        Sends kills.
    n_requested
        Number of images requested, for the report of a writer that does not send this number.

    Attributes
    ----------
    report
        The report of the run; None until the run has ended.
    last_status
        The status received last; None before the first.
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

    @property
    def facts(self) -> RunFacts:
        """What the statuses received so far tell of the run."""
        return RunFacts.of_statuses(self.request_id, self._n_requested, self.last_status, self.report)

    @property
    def why_silent(self) -> str | None:
        """Why no status can come now: the broker is away, or takes no messages; None if statuses can come."""
        connection = self._listener.connection
        return connection.why_away or connection.why_blocked

    def poll(self, timeout_s: float = 0.0) -> StatusMessage | None:
        """Return the next status of this run, or None if none arrives within ``timeout_s``.

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
        """Wait until the run has ended, then stop listening.

        Parameters
        ----------
        timeout_s
            The longest wait. None waits without a limit, also during outages of the broker.
        on_progress
            Called with each status that arrives.

        Returns
        -------
        RunReport
            The verdict, the counts and the files.

        Raises
        ------
        TimeoutError
            The run has not ended in time and continues; wait again, or kill the run.
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
        """Send a kill; the images taken so far are still written. `wait` returns when the run has ended.

        Raises
        ------
        BrokerError
            The broker did not accept the message.
        BrokerBlockedError
            The broker takes no messages now, because its disk or memory is full; the run goes on.
        """
        self._publisher.kill(self.request_id)

    def close(self) -> None:
        """Stop listening; the run continues."""
        self._listener.connection.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.request_id}, {self.facts.in_words()}>"

    def _repr_html_(self) -> str:
        """Return the run as it is known, for notebooks."""
        return self.facts.as_html()

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
        """Return a report made from the action and the message, for a writer that sends no report."""
        return RunReport(
            request_id=self.request_id,
            verdict=_VERDICTS[status.action],
            reason=status.message,
            n_requested=self._n_requested,
        )
