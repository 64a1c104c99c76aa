"""Files that appear under their name at once, never in place of another."""

import ctypes
import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from std_daq.imaging.files.image_file import ImageFile
from std_daq.imaging.files.recover import recover
from std_daq.recording import naming
from std_daq.recording.naming import appear, check_is_free, partial_path
from std_test_kit.image_files import describe

DIE_BEFORE_THE_FILE_APPEARS = """
import os, sys
from pathlib import Path
from std_daq.imaging.files import image_file
from std_test_kit.image_files import describe
image_file.appear = lambda partial, path: os._exit(3)
image_file.ImageFile.create(Path(sys.argv[1]), describe())
"""


class LibraryWithoutRename:
    """A file system that cannot rename without replacing, such as NFS."""

    def renameat2(self, *_: object) -> int:
        ctypes.set_errno(errno.EINVAL)
        return -1


def refuse_links(*_: object) -> None:
    """Do as a file system without links does, such as FAT."""
    raise PermissionError(errno.EPERM, "Operation not permitted")


@pytest.fixture(params=["rename", "link", "no links"])
def partial(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if request.param != "rename":
        monkeypatch.setattr(naming, "_libc", LibraryWithoutRename())
    if request.param == "no links":
        monkeypatch.setattr(os, "link", refuse_links)
    partial = partial_path(tmp_path / "a.h5")
    partial.write_bytes(b"new")
    return partial


def test_a_file_gets_its_name(partial: Path, tmp_path: Path) -> None:
    appear(partial, tmp_path / "a.h5")
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]
    assert (tmp_path / "a.h5").read_bytes() == b"new"


def test_a_name_that_is_taken_stays_with_whom_it_belongs_to(partial: Path, tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_bytes(b"old")
    with pytest.raises(FileExistsError, match="never overwritten"):
        appear(partial, tmp_path / "a.h5")
    assert (tmp_path / "a.h5").read_bytes() == b"old"


def test_a_folder_that_has_gone_is_told(partial: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        appear(partial, tmp_path / "gone" / "a.h5")


def test_a_link_that_leads_nowhere_takes_a_name(tmp_path: Path) -> None:
    (tmp_path / "a.h5").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileExistsError):
        check_is_free(tmp_path / "a.h5")


def test_a_writer_that_dies_while_it_makes_a_file_leaves_none_of_that_name(tmp_path: Path) -> None:
    command = [sys.executable, "-c", DIE_BEFORE_THE_FILE_APPEARS, tmp_path / "a.h5"]
    assert subprocess.run(command, timeout=60, check=False).returncode == 3
    assert not (tmp_path / "a.h5").exists()


def test_a_file_that_has_its_name_can_be_recovered(tmp_path: Path) -> None:
    with ImageFile.create(tmp_path / "a.h5", describe()):
        (tmp_path / "killed.h5").write_bytes((tmp_path / "a.h5").read_bytes())
    assert [recovery.n_images for recovery in recover(tmp_path / "killed.h5")] == [0]


def test_nothing_is_left_of_a_file_whose_name_was_taken_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def take_the_name(partial: Path, path: Path) -> None:
        path.write_bytes(b"old")
        appear(partial, path)

    monkeypatch.setattr("std_daq.imaging.files.image_file.appear", take_the_name)
    with pytest.raises(FileExistsError, match="never overwritten"):
        ImageFile.create(tmp_path / "a.h5", describe())
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]
    open_files = [str(fd.readlink()) for fd in Path("/proc/self/fd").iterdir() if fd.is_symlink()]
    assert not [name for name in open_files if name.startswith(str(tmp_path))]
