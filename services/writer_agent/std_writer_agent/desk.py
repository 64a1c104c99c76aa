"""RequestDesk: takes requests and kills from the broker, refuses or queues requests, and records how they ended.

The order of steps makes sure that no request is lost in a crash. First the request is committed to the journal, then
it is acknowledged to the broker, then a status tells the client.
"""

from collections import deque
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from std_daq.errors import RequestRefusedError
from std_daq.imaging.files.names import RunNames
from std_daq.recording.request_channel import ReceivedKill, ReceivedRequest
from std_daq.recording.requests import (
    MAX_REQUEST_BYTES,
    Action,
    RunReport,
    Verdict,
    WriteRequest,
    check_request_id,
    parse_write_request,
)
from std_daq.recording.value_channel import ReceivedValues
from std_daq.telemetry.logs import get_logger
from std_writer_agent.accepted_request import AcceptedRequest
from std_writer_agent.effects import Announce
from std_writer_agent.examiner import Examiner
from std_writer_agent.file_claims import FileClaims
from std_writer_agent.image_source import JournalPoint
from std_writer_agent.journal import JournalFullError, JournalledRequest, RequestJournal, RequestState
from std_writer_agent.status_sender import StatusSender

REQUESTS_A_STEP = 20
# A process may end by chance while it handles a request, but hardly twice with the same request.
MAX_DEATHS = 2
# Longest wait for the disk of a path. Meanwhile the agent does nothing else, and a run must go on.
PATIENCE_S = 10.0
PATIENCE_IN_RUN_S = 1.0


class Consumer(Protocol):
    """Source of requests and kills, such as `std_daq.recording.request_channel.RequestConsumer`."""

    def poll(self, timeout_s: float = ...) -> ReceivedRequest | ReceivedKill | ReceivedValues | None:
        """Return the next request, kill or message with values; None if there is none."""

    def accept(self, received: ReceivedRequest | ReceivedKill | ReceivedValues) -> None:
        """Acknowledge it to the broker, which then deletes it."""

    def refuse(self, received: ReceivedRequest | ReceivedKill) -> None:
        """Reject it, so that the broker moves it to the dead letters."""


class ImageLookup(Protocol):
    """The questions that the desk asks about images; `std_writer_agent.image_source.ImageSource` answers them."""

    def position(self) -> JournalPoint | None:
        """Return the place of the next image in the journal; None if there is no ring."""

    def check_start(self, start_image_id: int) -> None:
        """Raise RequestRefusedError if the image was in the ring and is overwritten."""


class Admits(Protocol):
    """Checks requests and chooses their paths, such as `std_writer_agent.admission.Admission`."""

    def admit(self, request: WriteRequest, taken: Collection[RunNames]) -> str:
        """Return the path of the file to write; raise RequestRefusedError if the request cannot be carried out."""


class RequestDesk:
    """Holds all requests that have not ended: the active request, and the queue of those that wait.

    Parameters
    ----------
    consumer
        Source of requests and kills.
    journal
        Stores requests and kills on disk.
    statuses
        Publishes the statuses of requests.
    admission
        Checks requests, and chooses their paths.
    claims
        Keeps other systems from the files of requests that have not ended.
    images
        Finds images in the ring.
    max_queued
        Largest number of requests that wait while another one is carried out.
    on_end
        Called with the report of each request that ends.
    take_values
        Called with each message of measured values, which comes by the same consumer.

    Attributes
    ----------
    active
        The request that is carried out now; None if there is none.
    """

    def __init__(
        self,
        *,
        consumer: Consumer,
        journal: RequestJournal,
        statuses: StatusSender,
        admission: Admits,
        claims: FileClaims,
        images: ImageLookup,
        max_queued: int,
        on_end: Callable[[RunReport], None],
        take_values: Callable[[ReceivedValues], None],
    ) -> None:
        self._consumer = consumer
        self._journal = journal
        self._statuses = statuses
        self._admission = admission
        self._claims = claims
        self._images = images
        self._max_queued = max_queued
        self._on_end = on_end
        self._take_values = take_values
        self._examiner = Examiner()
        self._queue: deque[AcceptedRequest] = deque()
        self._log = get_logger()
        self.active: AcceptedRequest | None = None

    @property
    def n_queued(self) -> int:
        """Requests that wait for their turn."""
        return len(self._queue)

    @property
    def why_full(self) -> str | None:
        """Why no request can be accepted; None if there is room for it in the journal."""
        if self._journal.has_room:
            return None
        return f"the disk of the agent's journal is full ({self._journal.path}); make room there"

    def taken_names(self) -> list[RunNames]:
        """Return the names of the files of all requests that have not ended; another thread may ask."""
        active = self.active
        return [accepted.names for accepted in (*tuple(self._queue), *([active] if active else []))]

    @property
    def has_started(self) -> bool:
        """Whether an image of the active request has gone to the writers."""
        if self.active is None:
            return False
        entry = self._journal.find(self.active.entry.request_id)
        return entry is not None and entry.state is RequestState.STARTED

    def restore(self) -> None:
        """Queue the unfinished requests of an earlier process; a request that had started comes first."""
        entries = sorted(self._journal.unfinished(), key=lambda entry: entry.state is not RequestState.STARTED)
        for entry in entries:
            self._log.info("request_found", request_id=entry.request_id, state=entry.state)
            try:
                request = parse_write_request(entry.body)
            except RequestRefusedError as error:  # another version of the platform has accepted it
                self._end_request(entry, _make_report(entry.request_id, Verdict.FAILED, str(error), None))
            else:
                with suppress(RequestRefusedError):  # its turn tells whether the file is still free
                    self._claims.take(Path(entry.output_file))
                self._enqueue_unless_killed(AcceptedRequest(entry, request, self._images.position(), has_waited=True))

    def handle_messages(self) -> bool:
        """Handle the requests and kills that have come, and return whether the active request was killed."""
        is_killed = False
        for _ in range(REQUESTS_A_STEP):
            received = self._consumer.poll()
            match received:
                case None:
                    break
                case ReceivedRequest():
                    self._handle_request(received)
                case ReceivedValues():
                    self._consumer.accept(received)
                    self._take_values(received)
                case ReceivedKill():
                    is_killed = self._handle_kill(received) or is_killed
        return is_killed

    def begin_next(self) -> AcceptedRequest | None:
        """Make the next request of the queue the active one, and return it; None if the queue is empty.

        Call `note_begun` as soon as its run has begun. A request whose run ended the process at its beginning, more
        than once, ends as failed, and so does one that waited and cannot be carried out any more.
        """
        self.active = self._queue.popleft() if self._queue else None
        if self.active is None:
            return None
        n_deaths = self._journal.take_in_hand(_beginning_of(self.active))
        if n_deaths >= MAX_DEATHS:
            self.note_begun()
            self.fail(f"the writer agent ended {n_deaths} times while it began this run")
        elif self.active.has_waited and not self.active.has_begun:
            self._check_again(self.active)
        return self.active

    def note_begun(self) -> None:
        """Note that the run of the active request has begun, without ending the process."""
        if self.active is not None:
            self._journal.put_down(_beginning_of(self.active))

    def start(self) -> None:
        """Record in the journal that the active request has started: its first image goes to the writers."""
        if self.active is not None:
            self._journal.start(self.active.entry.request_id)

    def keep_report(self, report: RunReport) -> None:
        """Store what is known about the active request in the journal."""
        self._journal.keep_report(report.request_id, report)

    def announce(self, what: Announce) -> None:
        """Publish a status of the active request."""
        if self.active is not None:
            self._statuses.announce(self.active.entry.request_id, self.active.entry.body, what)

    def end(self, report: RunReport) -> None:
        """Record and publish the end of the active request."""
        if self.active is not None:
            self._end_request(self.active.entry, report)
            self.active = None

    def fail(self, reason: str) -> None:
        """End the active request as failed, because its run could not begin."""
        if self.active is not None:
            self.end(_make_report(self.active.entry.request_id, Verdict.FAILED, reason, self.active.request))

    def close(self) -> None:
        """Close the journal, and give up the claims of files."""
        self._claims.close()
        self._journal.close()

    def _handle_request(self, received: ReceivedRequest) -> None:
        request_id = received.request_id
        try:
            check_request_id(request_id)
        except RequestRefusedError as error:
            self._refuse_unjournalled(received, str(error), None)
            return
        known = self._journal.find(request_id)
        if known is not None:
            self._consumer.accept(received)
            self._answer_repetition(known, is_redelivered=received.delivery.is_redelivered)
            return
        if self.why_full is not None:
            self._refuse_unjournalled(received, self.why_full, _request_of(received))
            return
        n_deaths = self._journal.take_in_hand(request_id)
        try:
            if n_deaths >= MAX_DEATHS:
                raise RequestRefusedError(f"the writer agent ended {n_deaths} times while it handled this request")
            self._accept(received)
        except RequestRefusedError as error:
            self._refuse_request(received, str(error))
        self._journal.put_down(request_id)

    def _enqueue_unless_killed(self, accepted: AcceptedRequest) -> None:
        """Queue a request, or end it if its kill came first: kills have a queue of their own and can overtake it."""
        if self._journal.is_killed(accepted.entry.request_id) and not accepted.has_begun:
            self._end_request(accepted.entry, _report_killed(accepted))
        else:
            self._queue.append(accepted)

    def _accept(self, received: ReceivedRequest) -> None:
        """Accept a request, or raise RequestRefusedError before anybody hears of it."""
        request_id, body = received.request_id, received.delivery.body
        request, output_file = self._examine(received)
        self._claims.take(Path(output_file))
        position = self._images.position()
        has_waited = bool(self.n_queued or self.active)
        try:
            entry = self._journal.add(request_id, body, output_file, received.sender)
        except BaseException:
            self._claims.release(Path(output_file))
            raise
        accepted = AcceptedRequest(entry, request, position, has_waited)
        self._consumer.accept(received)
        waits = f"; {self.n_queued} before it" if has_waited else ""
        self._statuses.announce(
            request_id, body, Announce(Action.ACCEPTED, f"to {output_file}{waits}", {"output_file": output_file})
        )
        self._log.info("request_accepted", request_id=request_id, file=output_file)
        self._enqueue_unless_killed(accepted)

    def _examine(self, received: ReceivedRequest) -> tuple[WriteRequest, str]:
        """Return a request and the path of its file; raise RequestRefusedError if it cannot be carried out.

        Nobody can foresee what a request may hold. So an error that nobody foresaw refuses the request that caused it;
        if the error ended the process, the broker would deliver the request again, and it would end the next process.
        """
        try:
            request = received.parse()
            n_unfinished = self.n_queued + (self.active is not None)
            if n_unfinished > self._max_queued:
                raise RequestRefusedError(f"the writer is busy: {self._describe_work()}")
            taken = self.taken_names()
            patience_s = PATIENCE_IN_RUN_S if self.active else PATIENCE_S
            output_file = self._examiner.examine(lambda: self._admission.admit(request, taken), patience_s)
            if request.start_image_id is not None:
                self._images.check_start(request.start_image_id)
        except RequestRefusedError:
            raise
        except Exception as error:  # noqa: BLE001 -- see above
            self._log.exception("request_not_handled", request_id=received.request_id)
            raise RequestRefusedError(f"the writer agent cannot handle this request: {error!r}") from None
        return request, output_file

    def _check_again(self, active: AcceptedRequest) -> None:
        """Check the active request, now that its turn has come; if it cannot be carried out any more, it fails."""
        request = active.request.model_copy(update={"output_file": active.entry.output_file, "conflict": "refuse"})
        taken = [accepted.names for accepted in self._queue]
        try:
            self._examiner.examine(lambda: self._admission.admit(request, taken), PATIENCE_S)
            self._claims.take(Path(active.entry.output_file))
        except RequestRefusedError as error:
            self.note_begun()
            self.fail(f"the request was accepted, but cannot be carried out now that its turn has come: {error}")
        except Exception as error:  # noqa: BLE001 -- it must end neither this process nor the next one
            self._log.exception("request_not_checked", request_id=active.entry.request_id)
            self.note_begun()
            self.fail(f"the writer agent cannot check this request again: {error!r}")

    def _describe_work(self) -> str:
        running = "none runs" if self.active is None else f"request {self.active.entry.request_id} runs"
        if not self._max_queued:
            return f"{running}, and no request may wait; send this one again when it has ended"
        return f"{running}, and {self.n_queued} wait, which is all that may; send this one again when one has ended"

    def _refuse_request(self, received: ReceivedRequest, reason: str) -> None:
        body = _short_body(received)
        request = _request_of(received)
        report = _make_report(received.request_id, Verdict.REFUSED, reason, request)
        self._journal.add_refused(received.request_id, body, report, received.sender)
        if request is None:
            self._consumer.refuse(received)
        else:
            self._consumer.accept(received)
        self._statuses.announce_end(report, body)
        self._log.warning("request_refused", request_id=received.request_id, reason=reason)
        self._on_end(report)

    def _refuse_unjournalled(self, received: ReceivedRequest, reason: str, request: WriteRequest | None) -> None:
        """Refuse a request that the journal cannot hold, for want of an id or of room: only a status is published."""
        if request is None:
            self._consumer.refuse(received)
        else:
            self._consumer.accept(received)
        shown_id = received.request_id.encode(errors="replace").decode()
        report = _make_report(shown_id, Verdict.REFUSED, reason, request)
        self._statuses.announce_foreign(received.request_id, report, _short_body(received))
        self._log.warning("request_refused", request_id=shown_id, reason=reason)
        self._on_end(report)

    def _answer_repetition(self, known: JournalledRequest, *, is_redelivered: bool) -> None:
        """Answer a request that has come before, if a client repeats it: where it has ended, publish its end again."""
        self._log.info("request_came_again", request_id=known.request_id, state=known.state)
        # The broker redelivers a request that was not acknowledged. In that case no client has asked again.
        if is_redelivered:
            return
        if known.report is not None and known.state is RequestState.ENDED:
            self._statuses.announce_end(known.report, known.body)
        else:
            words = f"to {known.output_file}: this request is carried out already, the repetition changes nothing"
            self._statuses.announce(known.request_id, known.body, Announce(Action.PROGRESS, words))

    def _answer_late_kill(self, request_id: str) -> None:
        """Answer a kill of a request that neither runs nor waits."""
        known = self._journal.find(request_id)
        if known is None:
            words = "no request of this id is known; if it comes, it is killed before it begins"
            self._statuses.announce(request_id, b"", Announce(Action.UNKNOWN, words))
        elif known.report is not None and known.state is RequestState.ENDED:
            self._statuses.announce_end(known.report, known.body)

    def _handle_kill(self, received: ReceivedKill) -> bool:
        request_id = received.request_id
        try:
            check_request_id(request_id)
        except RequestRefusedError as error:
            self._consumer.refuse(received)
            self._log.warning("kill_refused", reason=str(error))
            return False
        try:
            self._journal.add_kill(request_id)
        except JournalFullError as error:  # it ends what runs or waits all the same; a request to come is refused
            self._log.warning("kill_not_journalled", request_id=request_id, error=str(error))
        self._consumer.accept(received)
        told = Announce(Action.PROGRESS, "it was told to end; the images taken so far are still written")
        if self.active is not None and self.active.entry.request_id == request_id:
            self.announce(told)
            return True
        waiting = next((one for one in self._queue if one.entry.request_id == request_id), None)
        if waiting is None:
            self._answer_late_kill(request_id)
        elif waiting.has_begun:  # an earlier process has begun its run, which ends when its turn comes
            self._statuses.announce(request_id, waiting.entry.body, told)
        else:
            self._queue.remove(waiting)
            self._end_request(waiting.entry, _report_killed(waiting))
        return False

    def _end_request(self, entry: JournalledRequest, report: RunReport) -> None:
        self._journal.end(entry.request_id, report)
        self._claims.release(Path(entry.output_file))
        self._statuses.announce_end(report, entry.body)
        self._log.info(
            "request_ended",
            request_id=report.request_id,
            verdict=report.verdict,
            reason=report.reason,
            n_written=report.n_written,
            n_lost=report.n_lost,
        )
        self._on_end(report)


def _short_body(received: ReceivedRequest) -> bytes:
    """Return the body of a request for its statuses; empty if it is too long to be one."""
    return received.delivery.body if received.delivery.n_body_bytes <= MAX_REQUEST_BYTES else b""


def _request_of(received: ReceivedRequest) -> WriteRequest | None:
    """Return the write request in a message; None if it holds none."""
    with suppress(RequestRefusedError):
        return received.parse()
    return None


def _beginning_of(accepted: AcceptedRequest) -> str:
    return f"run of {accepted.entry.request_id}"


def _report_killed(accepted: AcceptedRequest) -> RunReport:
    reason = "killed before it began"
    return _make_report(accepted.entry.request_id, Verdict.KILLED, reason, accepted.request)


def _make_report(request_id: str, verdict: Verdict, reason: str, request: WriteRequest | None) -> RunReport:
    n_requested = None if request is None else request.n_images
    now = datetime.now(UTC)
    return RunReport(request_id=request_id, verdict=verdict, reason=reason, n_requested=n_requested, ended_at=now)
