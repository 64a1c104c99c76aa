import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from std_daq.errors import ConfigError
from std_daq.recording.requests import RunReport, Verdict
from std_writer_agent.journal import KEEP_S, KEPT_KILLS, RequestJournal, RequestState


def make_report(request_id: str, verdict: Verdict = Verdict.COMPLETE) -> RunReport:
    return RunReport(request_id=request_id, verdict=verdict, n_written=3, lost_image_ids=(4, 5, 9))


def test_request_goes_from_queued_to_published(tmp_path: Path) -> None:
    journal = RequestJournal(tmp_path / "journal.sqlite")
    entry = journal.add("a", b'{"output_file": "/x"}', "/x")
    assert journal.find("a") == entry
    assert [found.state for found in journal.unfinished()] == [RequestState.QUEUED]
    journal.start("a")
    assert [found.state for found in journal.unfinished()] == [RequestState.STARTED]
    journal.end("a", make_report("a"))
    assert journal.unfinished() == []
    assert [found.report for found in journal.unpublished()] == [make_report("a")]
    journal.mark_published("a")
    assert journal.unpublished() == []
    journal.close()


def test_refused_request_is_known_and_unpublished(tmp_path: Path) -> None:
    journal = RequestJournal(tmp_path / "journal.sqlite")
    journal.add_refused("a", b"not json", make_report("a", Verdict.REFUSED))
    assert journal.unfinished() == []
    assert [found.request_id for found in journal.unpublished()] == ["a"]
    journal.close()


def test_run_ids_are_unique_although_the_clock_stands_still(tmp_path: Path) -> None:
    journal = RequestJournal(tmp_path / "journal.sqlite", time_ns=lambda: 10**18)
    assert len({journal.add(str(index), b"", "").run_id for index in range(5)}) == 5
    journal.close()


def test_old_requests_are_forgotten_only_when_they_were_published(tmp_path: Path) -> None:
    now = 2 * int(KEEP_S * 1e9)
    journal = RequestJournal(tmp_path / "journal.sqlite", time_ns=lambda: 1)
    for request_id in ("published", "unpublished"):
        journal.add(request_id, b"", "")
        journal.end(request_id, make_report(request_id))
    journal.mark_published("published")
    journal.close()
    journal = RequestJournal(tmp_path / "journal.sqlite", time_ns=lambda: now)
    assert journal.find("published") is None
    assert journal.find("unpublished") is not None
    journal.close()


def test_second_agent_is_told_that_the_journal_is_taken(tmp_path: Path) -> None:
    journal = RequestJournal(tmp_path / "journal.sqlite")
    with pytest.raises(ConfigError, match="stop any other writer agent"):
        RequestJournal(tmp_path / "journal.sqlite")
    journal.close()


def test_file_that_is_no_journal_is_told_by_name(tmp_path: Path) -> None:
    (tmp_path / "journal.sqlite").write_bytes(b"no database " * 1000)
    with pytest.raises(ConfigError, match=r"writer\.journal.*journal\.sqlite"):
        RequestJournal(tmp_path / "journal.sqlite")


WRITE_UNTIL_KILLED = """
import sys
from pathlib import Path
from std_writer_agent.journal import RequestJournal
journal = RequestJournal(Path(sys.argv[1]))
for name in sys.argv[2:]:
    journal.add(name, b"{}", "/x")
    print(name, flush=True)
sys.stdin.read()
"""


def test_what_was_added_survives_a_kill(tmp_path: Path) -> None:
    names = [str(uuid.uuid4()) for _ in range(20)]
    path = tmp_path / "journal.sqlite"
    with subprocess.Popen(
        [sys.executable, "-c", WRITE_UNTIL_KILLED, str(path), *names], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        confirmed = [process.stdout.readline().decode().strip() for _ in range(10)]
        process.kill()
    journal = RequestJournal(path)
    found = [entry.request_id for entry in journal.unfinished()]
    journal.close()
    assert found[: len(confirmed)] == confirmed == names[:10]
    assert found == names[: len(found)]


def test_newest_kills_are_kept_through_a_restart(tmp_path: Path) -> None:
    journal = RequestJournal(tmp_path / "journal.sqlite")
    for number in range(KEPT_KILLS + 2):
        journal.add_kill(f"r{number}")
    journal.close()
    journal = RequestJournal(tmp_path / "journal.sqlite")
    assert not journal.is_killed("r1")
    assert journal.is_killed("r2")
    assert journal.is_killed(f"r{KEPT_KILLS + 1}")
    assert not journal.is_killed("other")
    journal.close()
