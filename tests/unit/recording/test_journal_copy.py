"""Copies of a journal, made while another process writes it as fast as its disk allows."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from std_daq.cli.__main__ import main
from std_daq.errors import FileFormatError
from std_daq.recording.journal_copy import ASIDE, back_up_journal
from std_test_kit.small_disk import SmallDisk
from std_writer_agent.journal import RequestJournal

# Each request is longer than a page, so the WAL begins anew several times in a second.
AGENT = """
import sys
import time
from pathlib import Path
from std_writer_agent.journal import RequestJournal
journal = RequestJournal(Path(sys.argv[1]))
for number in range(int(sys.argv[2])):
    time.sleep(0.002)  # on a file system in memory nothing else would slow it down, until that is full
    journal.add(f"request-{number:06}", b"x" * 30_000, "/data/a.h5")
    if not number % 50:
        print(number, flush=True)
sys.stdin.read()
"""


@contextmanager
def agent(journal: Path, n_requests: int) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-c", AGENT, str(journal), str(n_requests)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "0\n"
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def journal(config_of_journal: str) -> Path:
    return Path(config_of_journal).with_name("journal.sqlite")


@pytest.fixture
def config_of_journal(tmp_path: Path, runtime: Path) -> str:
    path = tmp_path / "detector.json"
    document = {
        "detector_name": "det",
        "detector_type": "jungfrau",
        "n_modules": 1,
        "bit_depth": 16,
        "image_pixel_height": 512,
        "image_pixel_width": 1024,
        "start_udp_port": 50000,
        "writer": {"journal": str(tmp_path / "journal.sqlite")},
    }
    path.write_text(json.dumps(document))
    return str(path)


def requests_in(file: Path) -> list[str]:
    with sqlite3.connect(file) as database:
        found = [row[0] for row in database.execute("SELECT request_id FROM requests ORDER BY run_id")]
    database.close()
    return found


def fill(path: Path, n_requests: int) -> None:
    journal = RequestJournal(path)
    for number in range(n_requests):
        journal.add(f"request-{number:06}", b"{}", "/data/a.h5")
    journal.close()


@pytest.mark.long
def test_each_copy_beside_a_busy_agent_is_whole_and_no_older_than_the_one_before(journal: Path, tmp_path: Path) -> None:
    numbers = []
    with agent(journal, 1_000_000) as process:
        assert process.stdout is not None
        for number in range(12):
            written = int(process.stdout.readline())
            copy = tmp_path / f"copy-{number}.sqlite"
            n_requests = back_up_journal(journal, copy)
            found = requests_in(copy)
            assert found == [f"request-{one:06}" for one in range(n_requests)]
            assert n_requests > written
            numbers.append(n_requests)
            copy.unlink()
    assert numbers == sorted(set(numbers))
    assert numbers[-1] * 30_000 > 2 * (4 << 20), "the WAL, of 4 MiB, has begun anew"
    assert {path.name for path in tmp_path.iterdir() if path.name.startswith(".")} == set()


def test_copy_of_a_journal_whose_agent_was_killed_has_what_it_had_written(journal: Path, tmp_path: Path) -> None:
    with agent(journal, 1) as process:
        process.kill()
        process.wait()
        assert back_up_journal(journal, tmp_path / "copy.sqlite") == 1
    assert journal.with_name("journal.sqlite-wal").exists(), "nothing of the agent was touched"


def test_backup_and_restore_are_commands(
    config_of_journal: str, journal: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy.sqlite"
    fill(journal, 3)
    assert main(["journal", "backup", "--config", config_of_journal, "--output", str(copy), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"file": str(copy), "n_requests": 3}
    assert copy.stat().st_mode & 0o777 == 0o600
    journal.unlink()
    fill(journal, 1)
    assert main(["journal", "restore", "--config", config_of_journal, str(copy)]) == 0
    assert f"{journal}{ASIDE}" in capsys.readouterr().out
    restored = RequestJournal(journal)
    assert [entry.request_id for entry in restored.unfinished()] == [f"request-{number:06}" for number in range(3)]
    restored.close()
    assert requests_in(Path(f"{journal}{ASIDE}")) == ["request-000000"]


def test_journal_in_use_is_not_replaced(
    config_of_journal: str, journal: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy.sqlite"
    fill(copy, 2)
    with agent(journal, 1):
        assert main(["journal", "restore", "--config", config_of_journal, str(copy)]) == 1
    assert "a writer agent uses this journal; end it first" in capsys.readouterr().err
    assert not Path(f"{journal}{ASIDE}").exists()


def test_damaged_journal_can_be_replaced_and_is_kept(config_of_journal: str, journal: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.sqlite"
    fill(copy, 2)
    journal.write_bytes(b"noise" * 1000)
    assert main(["journal", "restore", "--config", config_of_journal, str(copy)]) == 0
    assert requests_in(journal) == ["request-000000", "request-000001"]
    assert Path(f"{journal}{ASIDE}").read_bytes() == b"noise" * 1000


def test_target_that_exists_is_kept(
    config_of_journal: str, journal: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(journal, 1)
    taken = tmp_path / "taken"
    taken.write_text("kept")
    assert main(["journal", "backup", "--config", config_of_journal, "--output", str(taken)]) == 2
    assert "the file exists" in capsys.readouterr().err
    with pytest.raises(FileExistsError):
        back_up_journal(journal, taken)
    assert taken.read_text() == "kept"


def test_no_journal_and_what_is_none_are_told(
    config_of_journal: str, journal: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["journal", "backup", "--config", config_of_journal, "--output", str(tmp_path / "copy")]
    assert main(command) == 1
    assert "there is no journal; no writer agent of this configuration has run here" in capsys.readouterr().err
    journal.write_bytes(os.urandom(5000))
    assert main(command) == 1
    assert "this is no journal of a writer agent, or it is damaged" in capsys.readouterr().err
    sqlite3.connect(journal.with_name("other")).close()
    with pytest.raises(FileFormatError):
        back_up_journal(journal.with_name("other"), tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_full_disk_leaves_nothing_that_looks_like_a_copy(
    config_of_journal: str, journal: Path, mount_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    SmallDisk.in_memory(mount_folder, 64 << 10)
    with agent(journal, 100):
        arguments = ["journal", "backup", "--config", config_of_journal, "--output", str(mount_folder / "copy")]
        assert main(arguments) == 1
        error = capsys.readouterr().err
        assert "No space left on device" in error or "no room for a copy" in error
        assert list(mount_folder.iterdir()) == []
