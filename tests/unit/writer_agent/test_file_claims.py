import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from std_daq.errors import RequestRefusedError
from std_writer_agent.file_claims import FileClaims

FILE = Path("/data/a.h5")


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[FileClaims, FileClaims]]:
    claims = FileClaims(tmp_path / "claims", "first"), FileClaims(tmp_path / "claims", "second")
    yield claims
    for one in claims:
        one.close()


def test_first_system_has_the_file_until_it_gives_it_up(two: tuple[FileClaims, FileClaims]) -> None:
    first, second = two
    first.take(FILE)
    first.take(FILE)
    assert (first.find_claimant(FILE), second.find_claimant(FILE)) == ("", "first")
    with pytest.raises(RequestRefusedError, match=r"/data/a.h5 belongs to a request of first that has not ended"):
        second.take(FILE)
    second.take(FILE.with_name("b.h5"))
    first.release(FILE)
    second.take(FILE)
    assert first.find_claimant(FILE) == "second"


def test_folder_that_is_reached_by_a_link_is_the_same(two: tuple[FileClaims, FileClaims], tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "data")
    first, second = two
    first.take(tmp_path / "data" / "a.h5")
    assert second.find_claimant(tmp_path / "link" / "a.h5") == "first"


def test_nothing_is_left_of_files_that_were_given_up(two: tuple[FileClaims, FileClaims], tmp_path: Path) -> None:
    two[0].take(FILE)
    two[0].release(FILE)
    two[0].release(FILE)
    assert list((tmp_path / "claims").iterdir()) == []


def test_claim_ends_with_its_process(two: tuple[FileClaims, FileClaims], tmp_path: Path) -> None:
    program = f"""
from pathlib import Path
from std_writer_agent.file_claims import FileClaims
claims = FileClaims(Path({str(tmp_path / "claims")!r}), "killed")
claims.take(Path({str(FILE)!r}))
print("claimed", flush=True)
input()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "claimed\n"
        assert two[0].find_claimant(FILE) == "killed"
        process.kill()
    two[0].take(FILE)
    assert two[1].find_claimant(FILE) == "first"


def test_folder_that_cannot_be_used_is_told_once_and_refuses_nothing(tmp_path: Path) -> None:
    (tmp_path / "claims").write_text("no folder")
    claims = FileClaims(tmp_path / "claims", "first")
    with capture_logs() as lines:
        claims.take(FILE)
        claims.take(FILE.with_name("b.h5"))
    assert [line["event"] for line in lines] == ["file_not_claimed"]
    assert claims.find_claimant(FILE) == ""
    claims.release(FILE)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff", b"[" * 5000])
def test_lock_with_any_content_is_a_claim(content: bytes, two: tuple[FileClaims, FileClaims], tmp_path: Path) -> None:
    first, second = two
    first.take(FILE)
    (lock,) = (tmp_path / "claims").iterdir()
    lock.write_bytes(content)
    assert second.find_claimant(FILE) == "another system"


def test_name_of_any_bytes_can_be_claimed(two: tuple[FileClaims, FileClaims]) -> None:
    name = Path(os.fsdecode(b"/data/\xff.h5"))
    two[0].take(name)
    assert two[1].find_claimant(name) == "first"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a folder to another user")
def test_folder_that_a_stranger_has_made_claims_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o1777)
    folder, file = tmp_path / "claims", tmp_path / "run.h5"
    stranger = FileClaims(folder, "stranger")
    stranger.take(file)
    os.chown(folder, 12345, 12345)
    claims = FileClaims(folder, "own")
    assert claims.find_claimant(file) == ""
    with capture_logs() as logs:
        claims.take(file)
    assert "belongs to user 12345" in logs[0]["error"]
    monkeypatch.setenv("STD_DAQ_TRUSTED_USERS", "12345")
    assert claims.find_claimant(file) == "stranger"
    claims.close()
    stranger.close()
