"""Folders that stay the same ones while their names lead elsewhere."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from std_daq.folders.open_folder import OpenFolder, open_beneath
from std_daq.recording.file_access import AS_MADE

ENOUGH = 50
MAX_ATTEMPTS = 100_000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "root"
    path.mkdir()
    return path


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    path = tmp_path / "outside"
    path.mkdir()
    return path


def test_what_is_missing_is_made(root: Path) -> None:
    with AS_MADE.open_folder(root / "a" / "b", [root]) as folder:
        os.close(folder.make("file"))
    assert (root / "a" / "b" / "file").is_file()


def test_nothing_is_made_if_nobody_says_how(root: Path) -> None:
    with pytest.raises(FileNotFoundError, match="root/a"):
        open_beneath([root], root / "a" / "b")
    assert list(root.iterdir()) == []


def test_root_may_be_a_link(root: Path, tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to(root)
    with AS_MADE.open_folder(tmp_path / "data" / "a", [tmp_path / "data"]) as folder:
        os.close(folder.make("file"))
    assert (root / "a" / "file").is_file()


@pytest.mark.parametrize("target", ["deep", "../root/deep", "{root}/deep"])
def test_link_that_stays_in_a_root_is_followed(root: Path, target: str) -> None:
    (root / "deep").mkdir()
    (root / "today").symlink_to(target.format(root=root))
    with AS_MADE.open_folder(root / "today" / "a", [root]) as folder:
        os.close(folder.make("file"))
    assert (root / "deep" / "a" / "file").is_file()


@pytest.mark.parametrize("target", ["../outside", "{outside}", "../outside/missing"])
def test_link_that_leads_out_of_the_roots_is_refused(root: Path, outside: Path, target: str) -> None:
    (root / "door").symlink_to(target.format(outside=outside))
    with pytest.raises(PermissionError, match=f"leads to {outside}.*outside the allowed folders: {root}"):
        AS_MADE.open_folder(root / "door" / "a", [root])
    assert list(outside.iterdir()) == []


def test_folder_with_the_beginning_of_a_roots_name_is_not_in_it(root: Path, tmp_path: Path) -> None:
    (tmp_path / "root2").mkdir()
    with pytest.raises(PermissionError, match="outside the allowed folders"):
        AS_MADE.open_folder(tmp_path / "root2", [root])


def test_without_roots_a_file_may_be_anywhere(root: Path, outside: Path) -> None:
    (root / "door").symlink_to(outside)
    with AS_MADE.open_folder(root / "door" / "a") as folder:
        os.close(folder.make("file"))
    assert (outside / "a" / "file").is_file()


def test_folder_replaced_by_a_link_after_the_look_at_its_path_is_not_entered(
    root: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "a").mkdir()
    realpath = os.path.realpath

    def look_and_replace(path: Path) -> str:
        real = realpath(path)
        if Path(path).name == "b":
            (root / "a").rename(root / "moved")
            (root / "a").symlink_to(outside)
        return real

    monkeypatch.setattr(os.path, "realpath", look_and_replace)
    with pytest.raises(PermissionError, match="replaced this folder by a link"):
        AS_MADE.open_folder(root / "a" / "b", [root])
    assert list(outside.iterdir()) == []


def test_folder_that_is_exchanged_all_the_time_never_leads_out(root: Path, outside: Path) -> None:
    (root / "a").mkdir()
    (root / "link").symlink_to(outside)
    n_opened = n_refused = 0
    with exchanging(root / "a", root / "link"):
        for n in range(MAX_ATTEMPTS):
            try:
                with AS_MADE.open_folder(root / "a" / "b", [root]) as folder:
                    os.close(folder.make(f"file{n}"))
                n_opened += 1
            except (PermissionError, NotADirectoryError):
                n_refused += 1
            if min(n_opened, n_refused) >= ENOUGH:
                break
    assert min(n_opened, n_refused) >= ENOUGH
    assert list(outside.iterdir()) == []


@contextmanager
def exchanging(one: Path, other: Path) -> Iterator[None]:
    """Exchange two names in another process, as fast as it can."""
    code = (
        "import ctypes, sys\n"
        "one, other = (name.encode() for name in sys.argv[1:])\n"
        "libc = ctypes.CDLL(None)\n"
        "print('begun', flush=True)\n"
        "while not libc.renameat2(-100, one, -100, other, 2): pass\n"
    )
    command = [sys.executable, "-c", code, str(one), str(other)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        try:
            yield
        finally:
            process.kill()


def test_folder_stays_the_same_one_when_its_name_leads_elsewhere(root: Path, outside: Path) -> None:
    with AS_MADE.open_folder(root / "a", [root]) as folder:
        (root / "a").rename(root / "moved")
        (root / "a").symlink_to(outside)
        os.close(folder.make("made"))
        folder.at("through_a_library").write_bytes(b"1")
        assert folder.has("made")
        folder.remove("made")
    assert [path.name for path in (root / "moved").iterdir()] == ["through_a_library"]
    assert list(outside.iterdir()) == []


def test_link_is_neither_opened_nor_written_over(root: Path, outside: Path) -> None:
    (outside / "victim").write_bytes(b"precious")
    (root / "file").symlink_to(outside / "victim")
    with OpenFolder.open(root) as folder:
        with pytest.raises(FileExistsError, match=f"{root}/file"):
            folder.make("file")
        with pytest.raises(OSError, match="links are not followed here; remove it"):
            folder.open_file("file", os.O_RDWR)
        folder.remove("file")
    assert (outside / "victim").read_bytes() == b"precious"


def test_pipe_is_no_file_and_nobody_waits_for_it(root: Path) -> None:
    os.mkfifo(root / "pipe")
    with OpenFolder.open(root) as folder, pytest.raises(OSError, match="this is not a file"):
        folder.open_file("pipe", os.O_RDONLY)


def test_folder_that_may_be_entered_but_not_listed_takes_files(root: Path) -> None:
    with OpenFolder(root, os.open(root, os.O_PATH | os.O_DIRECTORY)) as folder:
        os.close(folder.make("file"))
        assert folder.names() == []
    with OpenFolder.open(root) as folder:
        assert folder.names() == ["file"]
