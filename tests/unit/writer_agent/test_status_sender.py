from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from std_daq.errors import BrokerError, MessageRefusedError
from std_daq.recording.requests import Action, RunReport, StatusMessage, Verdict
from std_writer_agent.effects import Announce
from std_writer_agent.journal import RequestJournal
from std_writer_agent.status_sender import TRY_AGAIN_S, StatusSender

REPORT = RunReport(request_id="a", verdict=Verdict.COMPLETE)
PROGRESS = Announce(Action.PROGRESS, "1 of 2", {"n_written": 1})


class FakePublisher:
    def __init__(self) -> None:
        self.sent: list[tuple[StatusMessage, Future[None]]] = []
        self.is_full = False

    def publish(self, status: StatusMessage) -> "Future[None]":
        if self.is_full:
            raise BrokerError("too many messages wait")
        self.sent.append((status, Future()))
        return self.sent[-1][1]

    @property
    def actions(self) -> list[Action]:
        return [status.action for status, future in self.sent if not future.cancelled()]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[RequestJournal]:
    journal = RequestJournal(tmp_path / "journal.sqlite")
    journal.add("a", b"{}", "/x")
    yield journal
    journal.close()


class Stage:
    def __init__(self, journal: RequestJournal) -> None:
        self.now = 0.0
        self.publisher = FakePublisher()
        self.statuses = StatusSender(self.publisher, journal, "det", clock=lambda: self.now)


def test_end_is_marked_only_when_it_was_confirmed(journal: RequestJournal) -> None:
    stage = Stage(journal)
    journal.end("a", REPORT)
    stage.statuses.announce_end(REPORT, b"{}")
    stage.statuses.step()
    assert len(journal.unpublished()) == 1
    stage.publisher.sent[0][1].set_result(None)
    stage.statuses.step()
    assert journal.unpublished() == []


def test_end_that_was_not_taken_is_tried_again(journal: RequestJournal) -> None:
    stage = Stage(journal)
    journal.end("a", REPORT)
    stage.publisher.is_full = True
    stage.statuses.announce_end(REPORT, b"{}")
    stage.statuses.step()
    stage.publisher.is_full = False
    stage.now += TRY_AGAIN_S
    stage.statuses.step()
    stage.publisher.sent[0][1].set_exception(BrokerError("not confirmed"))
    stage.now += TRY_AGAIN_S
    stage.statuses.step()
    stage.publisher.sent[1][1].set_result(None)
    stage.now += TRY_AGAIN_S
    stage.statuses.step()
    assert stage.publisher.actions == [Action.SUCCESS, Action.SUCCESS]
    assert journal.unpublished() == []


def test_end_that_an_earlier_process_has_not_published_is_published(journal: RequestJournal) -> None:
    journal.end("a", REPORT)
    stage = Stage(journal)
    stage.statuses.step()
    assert stage.publisher.actions == [Action.SUCCESS]
    stage.now += 10 * TRY_AGAIN_S
    stage.statuses.step()
    assert len(stage.publisher.sent) == 1


def test_of_the_progress_only_the_newest_waits(journal: RequestJournal) -> None:
    stage = Stage(journal)
    stage.statuses.announce("a", b"{}", Announce(Action.START, "first"))
    for _ in range(3):
        stage.statuses.announce("a", b"{}", PROGRESS)
    assert stage.publisher.actions == [Action.START, Action.PROGRESS]


def test_progress_is_dropped_and_not_raised_when_nothing_is_taken(journal: RequestJournal) -> None:
    stage = Stage(journal)
    stage.publisher.is_full = True
    stage.statuses.announce("a", b"{}", PROGRESS)
    assert stage.publisher.sent == []


def test_end_that_the_broker_refuses_is_shortened_and_then_given_up(journal: RequestJournal) -> None:
    stage = Stage(journal)
    report = REPORT.model_copy(
        update={"reason": "r" * 1000, "lost_image_ids": tuple(range(0, 100, 2)), "n_lost": 50, "files": ("/a", "/b")}
    )
    journal.end("a", report)
    stage.statuses.announce_end(report, b"{}")
    for _ in range(10):
        future = stage.publisher.sent[-1][1]
        if not future.done():
            future.set_exception(MessageRefusedError("too long"))
        stage.now += TRY_AGAIN_S
        stage.statuses.step()
    [(whole, _), (short, _)] = stage.publisher.sent
    assert whole.report == report
    assert short.body == b""
    assert short.report is not None
    assert (short.report.n_lost, short.report.lost_image_ids_truncated, short.report.files_truncated) == (50, 50, 2)
    assert len(short.report.reason) == 200
    assert journal.unpublished() == []
