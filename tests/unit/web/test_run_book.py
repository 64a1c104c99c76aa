import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from std_daq.recording.requests import Action, RunReport, StatusMessage, Verdict, WriteRequest
from std_web.runs.run_book import MAX_RUNS, RunBook, summary_of, tellable
from std_web.runs.run_view import RunDetails, merged

ID = str(uuid.uuid4())
REQUEST = WriteRequest(output_file="/data/run_{number}.h5", n_images=100, experiment={"user_name": "Ada"})


def status(action: Action, message: str = "", request_id: str = ID, **fields: Any) -> StatusMessage:
    return StatusMessage(
        request_id=request_id,
        action=action,
        source=fields.pop("source", "det"),
        message=message,
        body=fields.pop("body", REQUEST.to_wire()),
        **fields,
    )


def progress(n_written: int, n_lost: int = 0) -> StatusMessage:
    return status(Action.PROGRESS, details={"n_written": n_written, "n_lost": n_lost, "n_sent": n_written + 3})


def feed(book: RunBook, message: StatusMessage, now: float = 0.0) -> RunDetails:
    run = book.feed(message, now)
    assert run is not None
    return run


def test_run_goes_from_sent_to_its_end() -> None:
    book = RunBook("det")
    assert book.add_sent(ID, REQUEST).state == "sent"
    run = feed(book, status(Action.ACCEPTED, "to /data/run_1.h5", details={"output_file": "/data/run_1.h5"}))
    assert (run.state, run.output_file, run.n_requested) == ("queued", "/data/run_1.h5", 100)
    assert feed(book, status(Action.START)).state == "started"
    assert [one.request_id for one in book.unfinished()] == [ID]
    report = RunReport(
        request_id=ID,
        verdict=Verdict.INCOMPLETE,
        reason="2 images lost",
        n_requested=100,
        n_written=98,
        n_lost=2,
        lost_image_ids=(4, 5),
        incomplete_image_ids=(9,),
        first_image_id=1,
        files=("/data/run_1.h5",),
    )
    run = feed(book, StatusMessage.of_report(report, source="det", body=b""))
    assert (run.state, run.verdict, run.reason, run.n_lost) == ("ended", "incomplete", "2 images lost", 2)
    assert (run.lost_image_ids, run.incomplete_image_ids, run.files) == ("4-5", "9", ["/data/run_1.h5"])
    assert book.unfinished() == []
    assert summary_of(run).model_dump().keys().isdisjoint({"files", "request", "lost_image_ids"})


def test_progress_tells_the_rate_and_the_time_that_is_left() -> None:
    book = RunBook("det")
    assert feed(book, progress(0), 10.0).seconds_left is None
    run = feed(book, progress(18, n_lost=2), 12.0)
    assert (run.images_per_second, run.seconds_left) == (10.0, 8.0)
    run = feed(book, progress(18, n_lost=2), 30.0)
    assert (run.images_per_second, run.seconds_left) == (None, None), "what was before is too old to tell a rate"


def test_run_that_stands_still_has_no_time_left_to_tell() -> None:
    book = RunBook("det")
    feed(book, progress(5), 0.0)
    run = feed(book, progress(5), 1.0)
    assert (run.images_per_second, run.seconds_left) == (0.0, None)


def test_text_that_no_answer_can_have_is_left_out() -> None:
    book = RunBook("det")
    for n, body in enumerate(
        (rb'{"output_file": "/data/\ud800.h5"}', b'{"output_file": "/a", "experiment": {"title": NaN}}')
    ):
        run = feed(book, status(Action.ACCEPTED, request_id=str(n), body=body))
        assert (run.output_file, run.request) == ("", None)
    assert book.feed(status(Action.ACCEPTED, request_id="\udcff"), 0.0) is None


def test_status_whose_texts_are_no_unicode_can_be_told() -> None:
    told = tellable(status(Action.ACCEPTED, "to \udcff", details={"output_file": "/data/\udcff.h5", "n": 3}))
    run = feed(RunBook("det"), told)
    assert (run.message, run.output_file) == ("to ?", "/data/?.h5")
    assert b"/data/?.h5" in run.model_dump_json().encode()


def test_runs_of_others_are_followed_by_what_their_request_says() -> None:
    run = feed(RunBook("det"), progress(7))
    assert (run.state, run.user_name, run.n_requested, run.output_file) == ("started", "Ada", 100, REQUEST.output_file)


@pytest.mark.parametrize("body", [b"", b"\xff", b"[]", b'{"n_images": "x", "experiment": 3, "output_file": 4}'])
def test_requests_that_hold_anything_are_followed(body: bytes) -> None:
    assert feed(RunBook("det"), status(Action.ACCEPTED, body=body)).state == "queued"


def test_statuses_of_other_writers_and_of_unknown_requests_are_left_out() -> None:
    book = RunBook("det")
    assert book.feed(status(Action.START, source="other"), 0.0) is None
    assert book.feed(status(Action.UNKNOWN), 0.0) is None
    assert book.newest() == []


def test_end_is_final_also_if_it_comes_again() -> None:
    book = RunBook("det")
    assert feed(book, status(Action.KILLED, "killed by request")).verdict == "killed"
    assert book.feed(status(Action.PROGRESS), 0.0) is None
    assert book.feed(status(Action.SUCCESS), 0.0) is None


def test_history_tells_what_no_status_has_told() -> None:
    book = RunBook("det")
    feed(book, status(Action.START))
    other = str(uuid.uuid4())
    row = {"state": "started", "accepted_at": datetime.now(UTC).isoformat(), "output_file": "/data/o.h5"}
    end = {"request_id": ID, "state": "ended", "verdict": "complete", "n_written": 100, "files": ["/data/run_1.h5"]}
    changed = book.take_history([end, {"request_id": other, **row}, {"request_id": "old", "state": "ended"}])
    assert [(run.request_id, run.state) for run in changed] == [(ID, "ended"), (other, "started")]
    assert book.find("old") is None
    assert book.take_history([end, {"request_id": other, **row}]) == []


def test_number_of_runs_is_bounded_and_those_that_go_on_stay() -> None:
    book = RunBook("det")
    feed(book, status(Action.START))
    for _ in range(MAX_RUNS + 5):
        feed(book, status(Action.FAIL, request_id=str(uuid.uuid4())))
    assert len(book.newest()) == MAX_RUNS
    assert book.find(ID) is not None


def test_list_shows_the_progress_of_a_run_that_the_journal_only_knows_to_have_started() -> None:
    book = RunBook("det")
    run = feed(book, progress(7))
    row = {"request_id": ID, "state": "started", "n_written": 0, "output_file": "/data/run_1.h5", "place": "12"}
    shown = merged(row, run)
    assert (shown["n_written"], shown["state"], shown["place"]) == (7, "started", "12")
    assert merged({**row, "state": "ended"}, run)["n_written"] == 0
    assert merged(row, None) == row
