from collections import deque
from collections.abc import Collection, Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from std_daq.amqp.messages import Delivery
from std_daq.errors import RequestRefusedError
from std_daq.imaging.files.names import RunNames
from std_daq.recording.request_channel import ReceivedKill, ReceivedRequest
from std_daq.recording.requests import (
    Action,
    RunReport,
    StatusMessage,
    Verdict,
    WriteRequest,
    new_request_id,
)
from std_test_kit.small_disk import SmallDisk
from std_test_kit.wait import wait_until
from std_writer_agent.desk import RequestDesk
from std_writer_agent.file_claims import FileClaims
from std_writer_agent.image_source import JournalPoint
from std_writer_agent.journal import RequestJournal, RequestState
from std_writer_agent.status_sender import StatusSender


class FakeBroker:
    """Consumer and publisher in one, that writes down the order of what is done."""

    def __init__(self, journal: RequestJournal) -> None:
        self._journal = journal
        self.waiting: deque[ReceivedRequest | ReceivedKill] = deque()
        self.events: list[str] = []
        self.statuses: list[StatusMessage] = []

    def poll(self, timeout_s: float = 0.0) -> ReceivedRequest | ReceivedKill | None:
        return self.waiting.popleft() if self.waiting else None

    def accept(self, received: ReceivedRequest | ReceivedKill) -> None:
        known = self._journal.find(received.request_id) is not None
        self.events.append("accepted, known" if known else "accepted, not known")

    def refuse(self, received: ReceivedRequest | ReceivedKill) -> None:
        self.events.append("dead letter")

    def publish(self, status: StatusMessage) -> "Future[None]":
        self.events.append(str(status.action))
        self.statuses.append(status)
        return Future()


class FakeImages:
    def position(self) -> JournalPoint | None:
        return JournalPoint(1, 42)

    def check_start(self, start_image_id: int) -> None:
        if start_image_id == 13:
            raise RequestRefusedError("image 13 is no longer in the ring")


class ProcessEnded(BaseException):
    """Stands for the sudden end of the process."""


class AdmitsAll:
    """Admits what is not gone."""

    def __init__(self) -> None:
        self.gone: dict[str, Exception] = {}

    def admit(self, request: WriteRequest, taken: Collection[RunNames]) -> str:
        if request.output_file in self.gone:
            raise self.gone[request.output_file]
        if request.output_file == "/unforeseen":
            raise ZeroDivisionError("nobody thought of it")
        if request.output_file == "/deadly":
            raise ProcessEnded
        if request.output_file in {str(run.output_file) for run in taken}:
            raise RequestRefusedError("taken")
        return request.output_file


class Stage:
    def __init__(self, journal: RequestJournal, max_queued: int = 2) -> None:
        self.journal = journal
        self.broker = FakeBroker(journal)
        self.ended: list[RunReport] = []
        self.admission = AdmitsAll()
        self.desk = RequestDesk(
            consumer=self.broker,
            journal=journal,
            statuses=StatusSender(self.broker, journal, "det"),
            admission=self.admission,
            claims=FileClaims(journal.path.parent / new_request_id(), "det"),
            images=FakeImages(),
            max_queued=max_queued,
            take_values=lambda received: None,
            on_end=self.ended.append,
        )

    def request(self, body: str, request_id: str | None = None, *, is_redelivered: bool = False) -> str:
        request_id = request_id or new_request_id()
        delivery = make_delivery(request_id, body.encode(), is_redelivered=is_redelivered)
        self.broker.waiting.append(ReceivedRequest(request_id, delivery))
        self.desk.handle_messages()
        return request_id

    def kill(self, request_id: str) -> bool:
        self.broker.waiting.append(ReceivedKill(request_id, make_delivery(request_id, b"")))
        return self.desk.handle_messages()

    def verdicts(self) -> list[Verdict]:
        return [report.verdict for report in self.ended]


def make_delivery(request_id: str, body: bytes, *, is_redelivered: bool = False) -> Delivery:
    return Delivery(
        queue="q",
        body=body,
        n_body_bytes=len(body),
        headers={},
        correlation_id=request_id,
        message_id=None,
        is_redelivered=is_redelivered,
        tag=1,
        session=1,
    )


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[RequestJournal]:
    journal = RequestJournal(tmp_path / "journal.sqlite")
    yield journal
    journal.close()


def test_request_is_in_the_journal_before_the_broker_and_the_user_hear(journal: RequestJournal) -> None:
    stage = Stage(journal)
    stage.request('{"output_file": "/a"}')
    assert stage.broker.events == ["accepted, known", "request_accepted"]
    accepted = stage.desk.begin_next()
    assert accepted is not None
    assert (accepted.asked_at, accepted.entry.state) == (JournalPoint(1, 42), RequestState.QUEUED)


def test_refused_request_is_in_the_journal_before_it_is_a_dead_letter(journal: RequestJournal) -> None:
    stage = Stage(journal)
    request_id = stage.request('{"output_file": 1}')
    assert stage.broker.events == ["dead letter", "request_fail"]
    assert journal.find(request_id) is not None
    stage.request('{"output_file": "/a", "start_image_id": 13}')
    assert stage.broker.events[2:] == ["accepted, known", "request_fail"]
    assert stage.verdicts() == [Verdict.REFUSED, Verdict.REFUSED]


def test_second_request_is_refused_while_one_runs_unless_it_may_wait(journal: RequestJournal) -> None:
    stage = Stage(journal, max_queued=1)
    running = stage.request('{"output_file": "/a"}')
    stage.desk.begin_next()
    stage.request('{"output_file": "/a"}')
    stage.request('{"output_file": "/b"}')
    stage.request('{"output_file": "/c"}')
    reasons = [report.reason for report in stage.ended]
    assert reasons[0] == "taken"
    assert reasons[1].startswith(f"the writer is busy: request {running} runs, and 1 wait, which is all that may; ")


def test_kill_ends_a_waiting_request_and_leaves_the_active_one_to_its_run(journal: RequestJournal) -> None:
    stage = Stage(journal)
    active = stage.request('{"output_file": "/a"}')
    stage.desk.begin_next()
    waiting = stage.request('{"output_file": "/b"}')
    assert stage.kill(active)
    assert not stage.kill(waiting)
    assert not stage.kill(waiting)
    assert stage.verdicts() == [Verdict.KILLED]
    assert stage.desk.n_queued == 0


def test_each_kill_is_answered(journal: RequestJournal) -> None:
    stage = Stage(journal)
    request_id = stage.request('{"output_file": "/a"}')
    stage.desk.begin_next()
    stage.broker.statuses.clear()
    assert stage.kill(request_id)
    assert [status.action for status in stage.broker.statuses] == [Action.PROGRESS]
    stage.desk.end(RunReport(request_id=request_id, verdict=Verdict.COMPLETE, n_written=3))
    refused = stage.request('{"output_file": "/a", "n_images": 0}')
    for known, verdict in ((request_id, Verdict.COMPLETE), (refused, Verdict.REFUSED)):
        for _ in range(2):
            stage.broker.statuses.clear()
            assert not stage.kill(known)
            (answer,) = stage.broker.statuses
            assert answer.report is not None
            assert (answer.request_id, answer.report.verdict) == (known, verdict)


def test_kill_of_a_run_that_an_earlier_process_has_begun_is_answered(journal: RequestJournal) -> None:
    before = Stage(journal)
    request_id = before.request('{"output_file": "/a"}')
    before.desk.begin_next()
    before.desk.start()
    after = Stage(journal)
    after.desk.restore()
    assert not after.kill(request_id)
    assert [(status.request_id, status.action) for status in after.broker.statuses] == [(request_id, Action.PROGRESS)]
    assert after.desk.n_queued == 1


def test_kill_of_a_request_that_nobody_knows_is_answered_without_an_end(journal: RequestJournal) -> None:
    stage = Stage(journal)
    unknown = new_request_id()
    assert not stage.kill(unknown)
    (answer,) = stage.broker.statuses
    assert (answer.request_id, answer.action, answer.report) == (unknown, Action.UNKNOWN, None)
    assert not answer.action.is_final
    assert stage.verdicts() == []


def test_request_under_the_id_of_one_that_has_not_ended_is_answered_and_changes_nothing(
    journal: RequestJournal,
) -> None:
    stage = Stage(journal)
    running = stage.request('{"output_file": "/a"}')
    stage.desk.begin_next()
    waiting = stage.request('{"output_file": "/b"}')
    for request_id in (running, waiting):
        stage.broker.statuses.clear()
        stage.request('{"output_file": "/c"}', request_id)
        (answer,) = stage.broker.statuses
        assert answer.action is Action.PROGRESS
        assert "the repetition changes nothing" in answer.message
        stage.broker.statuses.clear()
        stage.request('{"output_file": "/c"}', request_id, is_redelivered=True)
        assert stage.broker.statuses == []
    assert stage.desk.n_queued == 1


def test_request_that_was_killed_before_it_came_never_begins(journal: RequestJournal) -> None:
    stage = Stage(journal)
    request_id = new_request_id()
    stage.kill(request_id)
    stage.request('{"output_file": "/a"}', request_id)
    assert stage.verdicts() == [Verdict.KILLED]
    assert stage.desk.begin_next() is None


def test_kill_is_remembered_by_the_next_process(journal: RequestJournal) -> None:
    stage = Stage(journal)
    waiting = stage.request('{"output_file": "/a"}')
    stage.desk.begin_next()
    early = new_request_id()
    assert stage.kill(waiting)
    stage.kill(early)
    after = Stage(journal)  # the one before was killed before it could end the run
    after.desk.restore()
    after.request('{"output_file": "/b"}', early)
    assert after.verdicts() == [Verdict.KILLED, Verdict.KILLED]
    assert after.desk.begin_next() is None


def test_request_that_is_asked_again_hears_its_end_and_one_delivered_again_does_not(journal: RequestJournal) -> None:
    stage = Stage(journal)
    request_id = stage.request('{"output_file": "/a"}')
    stage.request('{"output_file": "/a"}', request_id)
    assert stage.desk.n_queued == 1
    stage.desk.begin_next()
    stage.desk.end(RunReport(request_id=request_id, verdict=Verdict.COMPLETE, n_written=3))
    stage.broker.statuses.clear()
    stage.request('{"output_file": "/a"}', request_id, is_redelivered=True)
    assert stage.broker.statuses == []
    stage.request('{"output_file": "/a"}', request_id)
    assert [status.action for status in stage.broker.statuses] == [Action.SUCCESS]
    assert stage.desk.begin_next() is None


def test_request_that_has_waited_is_checked_again_when_its_turn_comes(journal: RequestJournal) -> None:
    stage = Stage(journal)
    first = stage.request('{"output_file": "/a"}')
    stage.admission.gone["/a"] = RequestRefusedError("it is looked at once")
    assert stage.desk.begin_next() is not None
    stage.request('{"output_file": "/b"}')
    stage.admission.gone["/b"] = RequestRefusedError("the folder is gone")
    stage.request('{"output_file": "/c"}')
    stage.desk.end(RunReport(request_id=first, verdict=Verdict.COMPLETE))
    assert stage.desk.begin_next() is None
    assert stage.verdicts() == [Verdict.COMPLETE, Verdict.FAILED]
    assert "cannot be carried out now that its turn has come: the folder is gone" in stage.ended[-1].reason
    following = stage.desk.begin_next()
    assert following is not None
    assert following.entry.output_file == "/c"


def test_request_of_an_earlier_process_is_checked_again_unless_its_run_has_begun(journal: RequestJournal) -> None:
    journal.add("waiting", b'{"output_file": "/a"}', "/a")
    journal.add("begun", b'{"output_file": "/b"}', "/b")
    journal.start("begun")
    stage = Stage(journal)
    stage.admission.gone = {"/a": ZeroDivisionError("nobody thought of it"), "/b": RequestRefusedError("it is there")}
    stage.desk.restore()
    begun = stage.desk.begin_next()
    assert begun is not None
    assert begun.has_begun
    assert stage.desk.begin_next() is None
    [report] = stage.ended
    assert (report.request_id, report.verdict) == ("waiting", Verdict.FAILED)
    assert "cannot check this request again: ZeroDivisionError" in report.reason


def test_restart_takes_up_what_was_begun_first(journal: RequestJournal) -> None:
    journal.add("waiting", b'{"output_file": "/a"}', "/a")
    journal.add("begun", b'{"output_file": "/b"}', "/b")
    journal.start("begun")
    stage = Stage(journal)
    stage.desk.restore()
    first, second = stage.desk.begin_next(), stage.desk.begin_next()
    assert first is not None
    assert second is not None
    assert (first.entry.request_id, first.has_begun) == ("begun", True)
    assert (second.entry.request_id, second.has_begun) == ("waiting", False)


def test_request_that_a_newer_version_does_not_understand_ends_as_failed(journal: RequestJournal) -> None:
    journal.add("old", b'{"output_file": "/a", "gone": 1}', "/a")
    stage = Stage(journal)
    stage.desk.restore()
    assert stage.verdicts() == [Verdict.FAILED]
    assert stage.desk.begin_next() is None


def test_error_that_nobody_foresaw_refuses_its_request_and_the_next_is_taken(journal: RequestJournal) -> None:
    stage = Stage(journal)
    stage.request('{"output_file": "/unforeseen"}')
    stage.request('{"output_file": "/a"}')
    [report] = stage.ended
    assert report.verdict is Verdict.REFUSED
    assert "cannot handle this request: ZeroDivisionError" in report.reason
    assert stage.desk.begin_next() is not None


def test_request_that_ends_the_process_twice_is_refused_when_it_comes_again(journal: RequestJournal) -> None:
    request_id = new_request_id()
    for _ in range(2):
        with pytest.raises(ProcessEnded):
            Stage(journal).request('{"output_file": "/deadly"}', request_id)
    stage = Stage(journal)
    stage.request('{"output_file": "/deadly"}', request_id, is_redelivered=True)
    [report] = stage.ended
    assert (report.verdict, report.request_id) == (Verdict.REFUSED, request_id)
    assert "ended 2 times while it handled this request" in report.reason
    stage.request('{"output_file": "/a"}')
    assert stage.desk.begin_next() is not None


def test_run_whose_beginning_ends_the_process_twice_is_ended_as_failed(journal: RequestJournal) -> None:
    request_id = Stage(journal).request('{"output_file": "/a"}')
    for _ in range(2):  # processes that begin the run and do not live to say so
        stage = Stage(journal)
        stage.desk.restore()
        assert stage.desk.begin_next() is not None
    stage = Stage(journal)
    stage.desk.restore()
    assert stage.desk.begin_next() is None
    [report] = stage.ended
    assert (report.verdict, report.request_id) == (Verdict.FAILED, request_id)
    assert "ended 2 times while it began this run" in report.reason


def test_run_that_has_begun_may_be_restored_any_number_of_times(journal: RequestJournal) -> None:
    Stage(journal).request('{"output_file": "/a"}')
    for _ in range(5):
        stage = Stage(journal)
        stage.desk.restore()
        assert stage.desk.begin_next() is not None
        stage.desk.note_begun()


@pytest.mark.parametrize("request_id", ["", "no uuid", "\udcff" * 255, "\0"])
def test_messages_without_a_usable_id_are_refused_and_not_remembered(journal: RequestJournal, request_id: str) -> None:
    stage = Stage(journal)
    stage.broker.waiting.append(ReceivedRequest(request_id, make_delivery(request_id, b'{"output_file": "/a"}')))
    stage.broker.waiting.append(ReceivedKill(request_id, make_delivery(request_id, b"")))
    assert not stage.desk.handle_messages()
    assert stage.broker.events == ["dead letter", "request_fail", "dead letter"]
    [status] = stage.broker.statuses
    assert status.request_id == request_id
    assert "is not a UUID" in status.message
    status.to_wire()


def test_requests_are_refused_while_the_disk_of_the_journal_is_full_and_what_runs_ends(mount_folder: Path) -> None:
    disk = SmallDisk.in_memory(mount_folder, 32 << 20)
    journal = RequestJournal(mount_folder / "journal.sqlite")
    stage = Stage(journal)
    running = stage.request('{"output_file": "/a"}')
    stage.desk.begin_next()
    stage.desk.note_begun()
    disk.fill()
    while stage.desk.why_full is None:
        stage.desk.start()
    too_late = stage.request('{"output_file": "/b"}')
    assert stage.kill(running)
    stage.desk.end(RunReport(request_id=running, verdict=Verdict.KILLED))
    refused, killed = stage.ended
    assert (refused.request_id, refused.verdict) == (too_late, Verdict.REFUSED)
    assert "the disk of the agent's journal is full" in refused.reason
    assert (killed.request_id, killed.verdict) == (running, Verdict.KILLED)
    ends = [status.request_id for status in stage.broker.statuses if status.action.is_final]
    assert ends == [too_late, running]
    assert "accepted, not known" in stage.broker.events
    disk.free()
    wait_until(lambda: stage.desk.why_full is None, 10.0)
    assert journal.find(stage.request('{"output_file": "/c"}')) is not None
    journal.close()


def test_file_that_another_system_was_asked_to_write_first_is_refused_at_the_request(
    journal: RequestJournal, tmp_path: Path
) -> None:
    stage = Stage(journal)
    others = FileClaims(tmp_path / "claims", "camera-2")
    stage.desk._claims = FileClaims(tmp_path / "claims", "camera-1")
    others.take(Path("/data/a.h5"))
    stage.request('{"output_file": "/data/a.h5"}')
    assert stage.verdicts() == [Verdict.REFUSED]
    assert "/data/a.h5 belongs to a request of camera-2 that has not ended" in stage.ended[0].reason
    others.release(Path("/data/a.h5"))
    running = stage.request('{"output_file": "/data/a.h5"}')
    assert others.find_claimant(Path("/data/a.h5")) == "camera-1"
    stage.kill(running)
    assert others.find_claimant(Path("/data/a.h5")) == ""
    others.close()
