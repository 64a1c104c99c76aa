"""Folders for work that somebody else may have made first."""

import os
from pathlib import Path

import pytest

from std_daq.errors import ResourceError
from std_daq.folders.owners import VARIABLE, make_work_folder, trusted_users, user_text

STRANGER = 54321

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")


def test_work_folder_is_made_and_found_again(tmp_path: Path) -> None:
    make_work_folder(tmp_path / "a" / "b")
    (tmp_path / "a" / "b" / "file").touch()
    make_work_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b" / "file").exists()


def test_link_in_the_place_of_a_work_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "work").symlink_to("theirs")
    with pytest.raises(ResourceError, match=f"{tmp_path}/work is a link"):
        make_work_folder(tmp_path / "work")


@needs_root
def test_work_folder_of_another_user_among_the_files_of_all_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    (tmp_path / "work").mkdir()
    os.chown(tmp_path / "work", STRANGER, STRANGER)
    with pytest.raises(ResourceError, match=f"{tmp_path}/work belongs to user {STRANGER}"):
        make_work_folder(tmp_path / "work")


def test_trusted_are_the_own_user_root_and_those_of_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert trusted_users() == {0, os.geteuid()}
    monkeypatch.setenv(VARIABLE, "daemon, 4711 no-such-user-here")
    assert trusted_users() == {0, os.geteuid(), 1, 4711}


def test_user_is_shown_with_the_name_if_there_is_one() -> None:
    assert user_text(0) == "user 0 (root)"
    assert user_text(STRANGER) == f"user {STRANGER}"
