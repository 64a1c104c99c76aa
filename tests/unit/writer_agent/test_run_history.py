import json
import sqlite3
import threading
import uuid
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from std_daq.recording.requests import FaultCount, RunReport, Verdict, WriteRequest
from std_daq.telemetry.documents import QueryRefusedError
from std_writer_agent.journal import RequestJournal
from std_writer_agent.run_history import MAX_SEARCHED, RunHistory


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[RequestJournal]:
    journal = RequestJournal(tmp_path / "journal.sqlite")
    yield journal
    journal.close()


def add(journal: RequestJournal, file: str, **report: Any) -> str:
    request_id = str(uuid.uuid4())
    request = WriteRequest(output_file=file, n_images=5, experiment={"user_name": "Ada", "sample_name": "lysozyme"})
    journal.add(request_id, request.to_wire(), file, "std-daq-client ada@console")
    if report:
        journal.start(request_id)
        journal.end(request_id, RunReport(request_id=request_id, **report))
    return request_id


def test_what_the_agent_tells_of_runs_and_files_is_for_the_machine_alone(journal: RequestJournal) -> None:
    assert RunHistory(journal).document.is_of_machine


def test_runs_come_newest_first_with_their_numbers(journal: RequestJournal) -> None:
    first = add(
        journal,
        "/data/a.h5",
        verdict=Verdict.INCOMPLETE,
        reason="1 image lost",
        n_requested=5,
        n_written=4,
        n_lost=1,
        files=("/data/a.h5",),
        started_at=datetime(2024, 1, 2, tzinfo=UTC),
    )
    second = add(journal, "/data/b.h5")
    answer = RunHistory(journal).answer({})
    assert answer["before"] is None
    newest, oldest = answer["runs"]
    assert (newest["request_id"], newest["state"], newest["verdict"]) == (second, "queued", None)
    assert (newest["n_requested"], newest["output_file"]) == (5, "/data/b.h5")
    assert (oldest["request_id"], oldest["verdict"], oldest["reason"]) == (first, "incomplete", "1 image lost")
    assert (oldest["n_written"], oldest["n_lost"], oldest["n_files"]) == (4, 1, 1)
    assert (oldest["user_name"], oldest["sample_name"]) == ("Ada", "lysozyme")
    assert oldest["sender"] == "std-daq-client ada@console"
    assert oldest["started_at"].startswith("2024-01-02T00:00:00")


def test_one_run_has_its_ranges_faults_and_request(journal: RequestJournal) -> None:
    request_id = add(
        journal,
        "/data/a.h5",
        verdict=Verdict.INCOMPLETE,
        n_lost=3,
        lost_image_ids=(7, 8, 9),
        n_incomplete=2,
        incomplete_image_ids=(12, 14),
        first_image_id=5,
        last_image_id=16,
        faults={"missing_packets": FaultCount(n_images=2, modules=(1,))},
    )
    run = RunHistory(journal).answer({"id": request_id})
    assert (run["lost_image_ids"], run["incomplete_image_ids"]) == ("7-9", "12,14")
    assert (run["first_image_id"], run["last_image_id"]) == (5, 16)
    assert run["faults"]["missing_packets"]["modules"] == [1]
    assert run["request"]["n_images"] == 5


def test_unknown_run_is_not_found(journal: RequestJournal) -> None:
    with pytest.raises(QueryRefusedError, match="no request 'x'") as refusal:
        RunHistory(journal).answer({"id": "x"})
    assert refusal.value.status == 404


def test_pages_follow_each_other_without_gap_or_repetition(journal: RequestJournal) -> None:
    ids = [add(journal, f"/data/{index}.h5") for index in range(7)]
    history = RunHistory(journal)
    found: list[str] = []
    before: dict[str, str] = {}
    while True:
        page = history.answer({"limit": "3", **before})
        found += [run["request_id"] for run in page["runs"]]
        if page["before"] is None:
            break
        before = {"before": page["before"]}
    assert found == ids[::-1]


@pytest.mark.parametrize(
    ("search", "n_found"),
    [("", 60), ("b_17", 1), ("INCOMPLETE", 1), ("ada lysozyme", 60), ("ada nobody", 0), ("100%", 0), ("'", 0)],
)
def test_search_looks_at_names_people_and_verdicts(journal: RequestJournal, search: str, n_found: int) -> None:
    for index in range(59):
        add(journal, f"/data/b_{index}.h5")
    add(journal, "/data/c.h5", verdict=Verdict.INCOMPLETE)
    assert len(RunHistory(journal).answer({"search": search, "limit": "100"})["runs"]) == n_found


def test_search_looks_at_a_bounded_number_of_rows_and_says_where_to_go_on(
    journal: RequestJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("std_writer_agent.run_history.MAX_SEARCHED", 50)
    assert MAX_SEARCHED >= 1000
    wanted = add(journal, "/data/needle.h5")
    for index in range(60):
        add(journal, f"/data/{index}.h5")
    history = RunHistory(journal)
    page = history.answer({"search": "needle"})
    assert page["runs"] == []
    page = history.answer({"search": "needle", "before": page["before"]})
    assert [run["request_id"] for run in page["runs"]] == [wanted]
    assert page["before"] is None


@pytest.mark.parametrize(
    "query", [{"limit": "0"}, {"limit": "x"}, {"before": "-1"}, {"limit": "9" * 50}, {"search": "a " * 20}]
)
def test_wrong_query_is_refused(journal: RequestJournal, query: dict[str, str]) -> None:
    with pytest.raises(QueryRefusedError):
        RunHistory(journal).answer(query)


@pytest.mark.parametrize("body", [b"not json", b"\xff\xfe", b"[1, 2]", b'{"n_images": "many", "experiment": []}', b""])
def test_requests_that_hold_anything_are_shown(journal: RequestJournal, body: bytes) -> None:
    report = RunReport(request_id="a", verdict=Verdict.REFUSED, reason="no request")
    journal.add_refused("a", body, report)
    (run,) = RunHistory(journal).answer({})["runs"]
    assert (run["verdict"], run["output_file"]) == ("refused", "")
    assert json.dumps(RunHistory(journal).answer({"id": "a"}))
    assert RunHistory(journal).answer({"search": "refused"})["runs"]


def test_journal_without_senders_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    journal = RequestJournal(path)
    request_id = add(journal, "/data/a.h5")
    journal.close()
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("ALTER TABLE requests DROP COLUMN sender")
    journal = RequestJournal(path)
    (run,) = RunHistory(journal).answer({})["runs"]
    assert (run["request_id"], run["sender"]) == (request_id, "")
    journal.close()


def test_history_is_read_while_the_agent_commits(journal: RequestJournal) -> None:
    history = RunHistory(journal)
    is_done = threading.Event()
    errors: list[BaseException] = []

    def read() -> None:
        try:
            while not is_done.is_set():
                history.answer({"search": "data"})
        except BaseException as error:  # noqa: BLE001 - told to the test
            errors.append(error)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for index in range(50):
        add(journal, f"/data/{index}.h5", verdict=Verdict.COMPLETE)
    is_done.set()
    for reader in readers:
        reader.join()
    assert not errors
    assert len(history.answer({"limit": "100"})["runs"]) == 50


def test_closed_journal_is_told(tmp_path: Path) -> None:
    journal = RequestJournal(tmp_path / "other.sqlite")
    journal.close()
    with pytest.raises(QueryRefusedError, match="cannot be read") as refusal:
        RunHistory(journal).answer({})
    assert refusal.value.status == 503


def test_request_that_no_answer_can_repeat_is_left_out(journal: RequestJournal) -> None:
    request_id = str(uuid.uuid4())
    report = RunReport(request_id=request_id, verdict=Verdict.REFUSED, reason="it is not valid")
    journal.add_refused(request_id, rb'{"output_file": "/a.h5", "experiment": {"title": "\ud800"}}', report)
    run = RunHistory(journal).answer({"id": request_id})
    assert (run["request"], run["reason"]) == (None, "it is not valid")
    json.dumps(run, ensure_ascii=False).encode()
    (listed,) = RunHistory(journal).answer({})["runs"]
    json.dumps(listed, ensure_ascii=False).encode()


def test_a_refused_request_with_numbers_that_json_cannot_tell_does_not_spoil_the_list(journal: RequestJournal) -> None:
    body = b'{"n_images": 1e999, "format": 1e999, "experiment": {"user_name": 1e999, "flux_hz": -1e999}}'
    request_id = str(uuid.uuid4())
    journal.add_refused(request_id, body, RunReport(request_id=request_id, verdict=Verdict.REFUSED, reason="wrong"))
    history = RunHistory(journal)
    text = json.dumps([history.answer({}), history.answer({"id": request_id})], allow_nan=False)
    listed, run = json.loads(text)
    assert listed["runs"][0]["n_requested"] is None
    assert run["request"]["experiment"]["flux_hz"] is None


@pytest.mark.parametrize("word", ["Ärger", "ärger"])
def test_letters_that_sqlite_does_not_turn_into_small_ones_are_found_as_they_are(
    journal: RequestJournal, word: str
) -> None:
    request_id = add(journal, f"/data/{word}_A.h5")
    found = RunHistory(journal).answer({"search": f"{word}_a"})
    assert [run["request_id"] for run in found["runs"]] == [request_id]
