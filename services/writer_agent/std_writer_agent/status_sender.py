"""StatusSender: publishes the statuses of requests, and repeats the end of a request until the broker confirms it."""

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from typing import Protocol

from std_daq.errors import BrokerError, MessageRefusedError
from std_daq.recording.requests import Action, RunReport, StatusMessage
from std_daq.telemetry.logs import ConditionLog, get_logger
from std_writer_agent.effects import Announce
from std_writer_agent.journal import RequestJournal

TRY_AGAIN_S = 2.0
# Length of texts in an end that the broker has refused once.
SHORT_CHARS = 200


class Publisher(Protocol):
    """Publishes statuses, such as `std_daq.recording.status_channel.StatusPublisher`."""

    def publish(self, status: StatusMessage) -> "Future[None]":
        """Queue a status for sending; the future is done when the broker has confirmed the status."""


class StatusSender:
    """Publishes the statuses of requests, and repeats the end of a request until the broker confirms it.

    While the broker is not reachable, only the newest progress status of a request waits; it replaces the one before.
    When the broker confirms the end of a request, the journal marks that end as published. Until then the sender
    tries again every 2 s.

    Parameters
    ----------
    publisher
        Publishes statuses at the broker.
    journal
        Records which ends are published.
    source
        Sender that the statuses name.
    clock
        Returns the monotonic time in seconds.
    """

    def __init__(
        self,
        publisher: Publisher,
        journal: RequestJournal,
        source: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._publisher = publisher
        self._journal = journal
        self._source = source
        self._clock = clock
        self._conditions = ConditionLog()
        self._progress: tuple[str, Future[None]] | None = None
        self._ends: dict[str, Future[None]] = {}
        self._n_refusals: dict[str, int] = {}
        self._log = get_logger()
        self._next_try = clock()

    def announce(self, request_id: str, body: bytes, what: Announce) -> None:
        """Publish a status other than the end of a request."""
        if self._progress is not None and self._progress[0] == request_id:
            self._progress[1].cancel()
            self._progress = None
        status = StatusMessage(
            request_id=request_id,
            action=what.action,
            source=self._source,
            message=what.message,
            body=body,
            details=what.details,
        )
        future = self._publish(status)
        if future is not None and what.action is Action.PROGRESS and what.details:
            self._progress = (request_id, future)

    def announce_end(self, report: RunReport, body: bytes) -> None:
        """Publish the end of a request that is in the journal.

        If the broker refuses it, because of its length for example, it is published again with what a client needs
        most. If the broker refuses that, too, the end is given up: it would be refused for ever.
        """
        n_refusals = self._n_refusals.get(report.request_id, 0)
        status = StatusMessage.of_report(report, source=self._source, body=body)
        future = self._publish(status if n_refusals == 0 else _shortest(status))
        if future is not None:
            self._ends[report.request_id] = future

    def announce_foreign(self, correlation_id: str, report: RunReport, body: bytes) -> None:
        """Publish the end of a request that is not in the journal, because its id is not valid."""
        status = StatusMessage.of_report(report, source=self._source, body=body)
        self._publish(replace(status, request_id=correlation_id))

    def step(self) -> None:
        """Mark confirmed ends in the journal, and publish those again that are not confirmed."""
        for request_id, future in [(key, future) for key, future in self._ends.items() if future.done()]:
            del self._ends[request_id]
            error = future.exception()
            if error is None:
                self._forget(request_id)
            elif isinstance(error, MessageRefusedError):
                self._note_refusal(request_id, error)
            else:
                self._conditions.warning("status_not_published", request_id=request_id, error=str(error))
        if self._clock() >= self._next_try:
            self._next_try = self._clock() + TRY_AGAIN_S
            for entry in self._journal.unpublished():
                if entry.request_id not in self._ends and entry.report is not None:
                    self.announce_end(entry.report, entry.body)

    def _note_refusal(self, request_id: str, error: MessageRefusedError) -> None:
        self._n_refusals[request_id] = self._n_refusals.get(request_id, 0) + 1
        is_over = self._n_refusals[request_id] > 1
        self._log.error("end_refused_by_broker", request_id=request_id, error=str(error), is_given_up=is_over)
        if is_over:
            self._forget(request_id)

    def _forget(self, request_id: str) -> None:
        self._n_refusals.pop(request_id, None)
        self._journal.mark_published(request_id)

    def _publish(self, status: StatusMessage) -> "Future[None] | None":
        try:
            return self._publisher.publish(status)
        except BrokerError as error:
            self._conditions.warning("status_not_published", request_id=status.request_id, error=str(error))
            return None


def _shortest(status: StatusMessage) -> StatusMessage:
    """Return a status without what a client can do without: the request, the lists, and most of the reason."""
    report = status.report
    if report is not None:
        n_lost, n_files = len(report.lost_image_ids), len(report.files)
        report = report.model_copy(
            update={
                "reason": report.reason[:SHORT_CHARS],
                "lost_image_ids": (),
                "lost_image_ids_truncated": report.lost_image_ids_truncated + n_lost,
                "files": (),
                "files_truncated": report.files_truncated + n_files,
            }
        )
    return replace(status, body=b"", message=status.message[:SHORT_CHARS], report=report)
