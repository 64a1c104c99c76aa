"""StatusSender: tells who asked how it goes; the end of a request until the broker has it."""

import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol

from std_daq.errors import BrokerError
from std_daq.recording.requests import Action, RunReport, StatusMessage
from std_daq.telemetry.logs import ConditionLog
from std_writer_agent.effects import Announce
from std_writer_agent.journal import RequestJournal

TRY_AGAIN_S = 2.0


class Publisher(Protocol):
    """Where statuses go; `std_daq.recording.status_channel.StatusPublisher` is one."""

    def publish(self, status: StatusMessage) -> "Future[None]":
        """Send a status when possible; the future is done when it has arrived."""


class StatusSender:
    """Tells who asked how a request goes, and publishes each end until the broker has it.

    Of the progress of a request only the newest waits. The end of a request is marked in the journal when the
    broker has confirmed it; until then it is tried again.

    Parameters
    ----------
    publisher
        Where statuses go.
    journal
        Knows which ends were published.
    source
        Name of this service.
    clock
        Monotonic seconds.
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
        self._next_try = clock()

    def announce(self, request_id: str, body: bytes, what: Announce) -> None:
        """Publish a status that ends nothing."""
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
        """Publish the end of a request that is in the journal."""
        future = self._publish(StatusMessage.of_report(report, source=self._source, body=body))
        if future is not None:
            self._ends[report.request_id] = future

    def announce_foreign(self, report: RunReport, body: bytes) -> None:
        """Publish the end of a request that is not in the journal, because its id is none."""
        self._publish(StatusMessage.of_report(report, source=self._source, body=body))

    def step(self) -> None:
        """Note what has arrived, and try again what has not."""
        for request_id, future in [(key, future) for key, future in self._ends.items() if future.done()]:
            del self._ends[request_id]
            error = future.exception()
            if error is None:
                self._journal.mark_published(request_id)
            else:
                self._conditions.warning("status_not_published", request_id=request_id, error=str(error))
        if self._clock() >= self._next_try:
            self._next_try = self._clock() + TRY_AGAIN_S
            for entry in self._journal.unpublished():
                if entry.request_id not in self._ends and entry.report is not None:
                    self.announce_end(entry.report, entry.body)

    def _publish(self, status: StatusMessage) -> "Future[None] | None":
        try:
            return self._publisher.publish(status)
        except BrokerError as error:
            self._conditions.warning("status_not_published", request_id=status.request_id, error=str(error))
            return None
