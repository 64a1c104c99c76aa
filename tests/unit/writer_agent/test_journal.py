import contextlib
import random
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from std_daq.errors import ConfigError
from std_daq.recording.requests import RunReport, Verdict
from std_test_kit.small_disk import SmallDisk
from std_test_kit.wait import wait_until
from std_writer_agent.journal import KEEP_S, KEPT_KILLS, JournalFullError, RequestJournal, RequestState


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


@pytest.mark.long
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


def filled_journal(path: Path) -> bytes:
    """Make a journal of several pages, and return its bytes."""
    journal = RequestJournal(path)
    for index in range(200):
        journal.add(f"{index:04d}", b"{}" * 100, f"/{index}.h5")
        journal.end(f"{index:04d}", make_report(f"{index:04d}"))
    journal.close()
    return path.read_bytes()


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda whole: whole[: len(whole) // 2],
    "cut within a page": lambda whole: whole[: len(whole) // 2 + 100],
    "zeros in the middle": lambda whole: whole[:8192] + bytes(8192) + whole[16384:],
    "zeros from the start": lambda whole: bytes(len(whole)),
    "text": lambda whole: b"no journal " * (len(whole) // 11),
    "pages exchanged": lambda whole: whole[:4096] + whole[-8192:] + whole[12288:-8192] + whole[4096:12288],
    "noise": lambda whole: whole[:5000] + random.Random(1).randbytes(6000) + whole[11000:],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_journal_is_told_at_the_start_with_what_to_do(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "journal.sqlite"
    damaged = DAMAGES[damage](filled_journal(path))
    path.write_bytes(damaged)
    with pytest.raises(ConfigError, match=r"writer\.journal.*move.* away") as error:
        RequestJournal(path)
    assert "\n" not in str(error.value)
    assert path.read_bytes() == damaged


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE requests DROP COLUMN is_published",
        "ALTER TABLE requests RENAME COLUMN body TO message",
        "INSERT INTO requests VALUES ('a', 1, 'paused', x'', '', 0.0, NULL, 0, '')",
    ],
)
def test_journal_of_another_version_is_told_at_the_start(tmp_path: Path, change: str) -> None:
    path = tmp_path / "journal.sqlite"
    RequestJournal(path).close()
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute(change)
    with pytest.raises(ConfigError, match="it is of another version, or damaged"):
        RequestJournal(path)


def test_flipped_bits_end_no_process_that_reads_the_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    whole = filled_journal(path)
    generator = random.Random(2)
    n_refused = 0
    for _ in range(100):
        flipped = bytearray(whole)
        flipped[generator.randrange(len(whole))] ^= 1 << generator.randrange(8)
        path.write_bytes(flipped)
        try:
            journal = RequestJournal(path)
        except ConfigError:
            n_refused += 1
            continue
        found = [*journal.unfinished(), *journal.unpublished()]
        assert all(entry.request_id for entry in found)
        journal.close()
    assert n_refused


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


def test_long_bodies_of_refused_requests_are_not_kept(tmp_path: Path) -> None:
    journal = RequestJournal(tmp_path / "journal.sqlite")
    journal.add_refused("short", b"not json", make_report("short", Verdict.REFUSED))
    journal.add_refused("long", bytes(1 << 20), make_report("long", Verdict.REFUSED))
    kept = {entry.request_id: entry.body for entry in journal.unpublished()}
    assert kept == {"short": b"not json", "long": b""}
    journal.close()


def test_only_the_newest_refusals_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("std_writer_agent.journal.KEPT_REFUSALS", 3)
    journal = RequestJournal(tmp_path / "journal.sqlite")
    journal.add("accepted", b"", "/x")
    for number in range(6):
        journal.add_refused(str(number), b"", make_report(str(number), Verdict.REFUSED))
        if number != 0:
            journal.mark_published(str(number))
    # The end of the first one is not published yet, and an accepted request is no refusal.
    assert [number for number in range(6) if journal.find(str(number))] == [0, 3, 4, 5]
    assert journal.find("accepted") is not None
    journal.close()


@pytest.mark.parametrize("make_disk", [SmallDisk.in_memory, SmallDisk.on_device])
def test_full_disk_is_told_and_what_was_accepted_can_end(
    mount_folder: Path, make_disk: Callable[[Path, int], SmallDisk]
) -> None:
    disk = make_disk(mount_folder, 32 << 20)
    journal = RequestJournal(mount_folder / "journal.sqlite")
    for number in range(50):
        journal.add(str(number), b"", "/x")
    assert journal.has_room
    disk.fill()
    for number in range(50):
        journal.start(str(number))
        journal.end(str(number), make_report(str(number)))
    assert not journal.has_room
    assert len(journal.unpublished()) == 50
    disk.free()
    wait_until(lambda: journal.has_room, 10.0)
    journal.close()
    again = RequestJournal(mount_folder / "journal.sqlite")
    assert len(again.unpublished()) == 50
    again.close()


def test_use_of_a_closed_journal_is_told_as_such(tmp_path: Path) -> None:
    journal = RequestJournal(tmp_path / "journal.sqlite")
    journal.close()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        journal.add_kill("a")


def test_disk_that_is_full_at_the_start_is_no_wrong_configuration(mount_folder: Path) -> None:
    disk = SmallDisk.in_memory(mount_folder, 16 << 20)
    disk.fill()
    with pytest.raises(JournalFullError, match="the disk of the journal is full"):
        RequestJournal(mount_folder / "journal.sqlite")
