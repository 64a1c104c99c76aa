import os
from pathlib import Path

import pytest

from std_daq.errors import ConfigError
from std_daq.recording.config import WriterConfig
from std_daq.recording.file_access import AS_MADE, FileAccess

OWN_GROUP = os.getegid()


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def test_folders_that_are_made_get_mode_and_group_and_others_keep_theirs(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir(mode=0o711)
    access = FileAccess.of_config(WriterConfig(folder_mode="2750", group=str(OWN_GROUP)))
    access.open_folder(tmp_path / "there" / "a" / "b").close()
    assert [mode_of(tmp_path / "there" / part) for part in (".", "a", "a/b")] == [0o711, 0o2750, 0o2750]
    assert (tmp_path / "there" / "a" / "b").stat().st_gid == OWN_GROUP
    access.open_folder(tmp_path / "there" / "a" / "b").close()


def test_without_a_configuration_the_umask_decides(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        AS_MADE.open_folder(tmp_path / "a" / "b").close()
        (tmp_path / "a" / "file").touch()
        AS_MADE.apply(tmp_path / "a" / "file")
    finally:
        os.umask(old)
    assert [mode_of(tmp_path / name) for name in ("a", "a/b", "a/file")] == [0o750, 0o750, 0o640]


def test_a_file_beside_another_is_like_it(tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name).touch()
    (tmp_path / "old").chmod(0o460)
    FileAccess.like(tmp_path / "old").apply(tmp_path / "new")
    assert mode_of(tmp_path / "new") == 0o460


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_beside_that_of_another_user_belongs_to_that_user(tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name).touch()
    os.chown(tmp_path / "old", 12345, 23456)
    FileAccess.like(tmp_path / "old").apply(tmp_path / "new")
    status = (tmp_path / "new").stat()
    assert (status.st_uid, status.st_gid) == (12345, 23456)


def test_group_that_does_not_exist_is_told() -> None:
    with pytest.raises(ConfigError, match="no such group") as caught:
        FileAccess.of_config(WriterConfig(group="no-such-group"))
    assert caught.value.key == "writer.group"


@pytest.mark.parametrize("mode", ["0440", "640 ", "rw-r-----", "0o640", "99", "8640"])
def test_modes_that_a_writer_cannot_use_are_refused(mode: str) -> None:
    with pytest.raises(ValueError, match="file_mode"):
        WriterConfig(file_mode=mode)
