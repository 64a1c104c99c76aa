"""An image file as the file system sees it: space ahead of its end, and its way to the disk."""

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from std_daq.imaging.files.image_file import ImageFile
from std_daq.recording.disk_file import DiskFile, sync_file
from std_test_kit.image_files import append_images, describe
from std_test_kit.small_disk import SmallDisk

MEGABYTE = 1 << 20


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.h5"
    path.write_bytes(b"12345")
    return path


@pytest.fixture
def file(path: Path) -> Iterator[DiskFile]:
    file = DiskFile(path)
    yield file
    file.close()


def n_allocated(path: Path) -> int:
    return path.stat().st_blocks * 512


def test_space_is_set_aside_behind_the_end_and_given_back(path: Path) -> None:
    file = DiskFile(path)
    file.reserve(3 * MEGABYTE)
    assert n_allocated(path) >= 3 * MEGABYTE
    assert file.n_bytes == 5
    file.close()
    assert n_allocated(path) < MEGABYTE
    assert path.read_bytes() == b"12345"


def test_more_space_is_set_aside_only_where_the_last_does_not_suffice(path: Path, file: DiskFile) -> None:
    file.reserve(1)
    before = n_allocated(path)
    file.reserve(MEGABYTE)
    assert n_allocated(path) == before
    file.reserve(before + 1)
    assert n_allocated(path) > before


def test_space_is_set_aside_again_after_a_cut(path: Path, file: DiskFile) -> None:
    file.reserve(MEGABYTE)
    file.cut(3)
    assert path.read_bytes() == b"123"
    assert n_allocated(path) < MEGABYTE
    file.reserve(MEGABYTE)
    assert n_allocated(path) >= MEGABYTE


def test_what_cannot_set_space_aside_goes_without() -> None:
    file = DiskFile(Path("/dev/null"))
    file.reserve(MEGABYTE)
    file.close()


def test_what_is_handed_to_the_disk_stays_as_it_is(path: Path) -> None:
    file = DiskFile(path)
    data = os.urandom(20 * MEGABYTE)
    path.write_bytes(data)
    file.begin_write_back()
    file.begin_write_back()
    file.close()
    n_calls = []
    sync_file(path, lambda: n_calls.append(1))
    assert path.read_bytes() == data
    assert len(n_calls) == 1


def test_what_cannot_be_brought_to_the_disk_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"to the disk.*nowhere\.h5"):
        sync_file(tmp_path / "nowhere.h5", lambda: None)


def test_a_disk_that_does_not_take_the_file_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="to the disk: Input/output error"):
        sync_file(path, lambda: None)


def test_a_file_on_a_disk_with_little_room_takes_only_what_it_needs(mount_folder: Path) -> None:
    """A failed allocation keeps on ext4 what it could get, and would leave nothing to other writers."""
    SmallDisk.on_device(mount_folder, 64 << 20)
    free = shutil.disk_usage(mount_folder).free
    files = [ImageFile.create(mount_folder / f"{number}.h5", describe()) for number in range(4)]
    for file in files:
        append_images(file, range(10), describe())
        file.flush()
    assert free - shutil.disk_usage(mount_folder).free < 4 * (3 << 20)
    for file in files:
        file.close()


def test_what_is_held_for_the_end_is_kept_when_the_disk_is_full(mount_folder: Path) -> None:
    disk = SmallDisk.on_device(mount_folder, 64 << 20)
    (mount_folder / "a").touch()
    file = DiskFile(mount_folder / "a", end_bytes=1 << 20)
    file.reserve(0)
    disk.fill()
    with pytest.raises(OSError, match="No space left"):
        file.reserve(1 << 20)
    assert (mount_folder / "a").stat().st_blocks * 512 >= 1 << 20
    assert file.hold(1 << 20)
    assert not file.hold(2 << 20)
    file.close()
