"""Files that appear under their name at once, never in place of another."""

import ctypes
import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from std_daq.folders import new_file
from std_daq.folders.new_file import MAX_PARTIAL_EXTRA_BYTES, NewFile, check_is_free
from std_daq.imaging.files.image_file import ImageFile
from std_daq.imaging.files.recover import recover
from std_test_kit.image_files import describe

DIE_BEFORE_THE_FILE_APPEARS = """
import os, sys
from pathlib import Path
from std_daq.imaging.files import image_file
from std_test_kit.image_files import describe
image_file.NewFile.appear = lambda new: os._exit(3)
image_file.ImageFile.create(Path(sys.argv[1]), describe())
"""


class LibraryWithoutRename:
    """A file system that cannot rename without replacing, such as NFS."""

    def renameat2(self, *_: object) -> int:
        ctypes.set_errno(errno.EINVAL)
        return -1


def refuse_links(*_: object, **__: object) -> None:
    """Do as a file system without links does, such as FAT."""
    raise PermissionError(errno.EPERM, "Operation not permitted")


@pytest.fixture(params=["rename", "link", "no links"])
def new(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NewFile]:
    if request.param != "rename":
        monkeypatch.setattr(new_file, "_libc", LibraryWithoutRename())
    if request.param == "no links":
        monkeypatch.setattr(os, "link", refuse_links)
    with NewFile(tmp_path / "a.h5") as new:
        new.write(b"new")
        yield new


def test_a_file_gets_its_name(new: NewFile, tmp_path: Path) -> None:
    new.appear()
    new.close()
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]
    assert (tmp_path / "a.h5").read_bytes() == b"new"


def test_a_name_that_is_taken_stays_with_whom_it_belongs_to(new: NewFile, tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_bytes(b"old")
    with pytest.raises(FileExistsError, match="never overwritten"):
        new.appear()
    new.close()
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]
    assert (tmp_path / "a.h5").read_bytes() == b"old"


def test_a_file_can_take_the_place_of_another(new: NewFile, tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_bytes(b"old")
    new.replace()
    new.close()
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]
    assert (tmp_path / "a.h5").read_bytes() == b"new"


def test_a_folder_that_is_moved_meanwhile_gets_the_file(new: NewFile, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with NewFile(folder / "b.h5") as other:
        folder.rename(tmp_path / "moved")
        folder.mkdir()
        other.appear()
    assert list(folder.iterdir()) == []
    assert [path.name for path in (tmp_path / "moved").iterdir()] == ["b.h5"]


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        NewFile(tmp_path / "gone" / "a.h5")


def test_nothing_is_left_of_a_file_that_gets_no_name(tmp_path: Path) -> None:
    with NewFile(tmp_path / "a.h5"):
        assert len(list(tmp_path.iterdir())) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_link_at_the_partial_name_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    letters = iter("aaaaaaabbbbbbb")
    monkeypatch.setattr(new_file.secrets, "choice", lambda _: next(letters))
    (tmp_path / ".a.h5.aaaaaaa.partial").symlink_to(victim)
    with NewFile(tmp_path / "a.h5") as new:
        assert new.name == ".a.h5.bbbbbbb.partial"
        new.write(b"new")
    assert victim.read_bytes() == b"precious"


def test_two_files_of_one_process_have_different_partial_names(tmp_path: Path) -> None:
    with NewFile(tmp_path / "a.h5") as one, NewFile(tmp_path / "a.h5") as other:
        assert one.name != other.name
        assert len(one.name) - len("a.h5") == MAX_PARTIAL_EXTRA_BYTES


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
    appear = NewFile.appear

    def take_the_name(new: NewFile) -> None:
        new.path.write_bytes(b"old")
        appear(new)

    monkeypatch.setattr(NewFile, "appear", take_the_name)
    with pytest.raises(FileExistsError, match="never overwritten"):
        ImageFile.create(tmp_path / "a.h5", describe())
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]
    open_files = [str(fd.readlink()) for fd in Path("/proc/self/fd").iterdir() if fd.is_symlink()]
    assert not [name for name in open_files if name.startswith(str(tmp_path))]
