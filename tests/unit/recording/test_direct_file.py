"""Writing past the page cache: to the byte, and where it cannot be done it is not."""

import errno
import mmap
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from std_daq.recording.direct_file import PAGE_BYTES, DirectFile

BEFORE = b"x" * (3 * PAGE_BYTES)
Open = Callable[[], DirectFile]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.h5"
    path.write_bytes(BEFORE)
    return path


@pytest.fixture
def open_file(path: Path) -> Iterator[Open]:
    opened: list[tuple[int, DirectFile]] = []

    def open_() -> DirectFile:
        fd = os.open(path, os.O_RDWR)
        opened.append((fd, DirectFile(path, fd)))
        return opened[-1][1]

    yield open_
    for fd, file in opened:
        file.close()
        os.close(fd)


def paged(n_bytes: int, first: int = 0) -> tuple[memoryview, int]:
    """Return random bytes that begin so far behind a page of memory, and their address."""
    memory = np.frombuffer(mmap.mmap(-1, first + n_bytes), np.uint8)[first:]
    memory[:] = np.random.default_rng(n_bytes).integers(0, 256, n_bytes)
    return memory.data, int(memory.__array_interface__["data"][0])


@pytest.mark.parametrize("n_bytes", [PAGE_BYTES, 7 * PAGE_BYTES, PAGE_BYTES + 1, 3 * PAGE_BYTES - 1, 100])
@pytest.mark.parametrize("offset", [0, PAGE_BYTES, 5 * PAGE_BYTES])
def test_bytes_lie_where_they_belong_and_nothing_else_changes(
    path: Path, open_file: Open, n_bytes: int, offset: int
) -> None:
    data, address = paged(n_bytes)
    assert open_file().write(offset, data, address)
    expected = bytearray(BEFORE.ljust(offset, b"\0"))
    expected[offset : offset + n_bytes] = data
    assert path.read_bytes() == expected


def test_what_does_not_begin_at_a_page_takes_the_other_way(path: Path, open_file: Open) -> None:
    data, address = paged(PAGE_BYTES, first=512)
    assert not open_file().write(0, data, address)
    data, address = paged(PAGE_BYTES)
    assert not open_file().write(512, data, address)
    assert path.read_bytes() == BEFORE


def test_a_write_that_takes_a_part_is_carried_on(path: Path, open_file: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: pwrite(fd, data[:PAGE_BYTES], offset))
    data, address = paged(4 * PAGE_BYTES + 10)
    assert open_file().write(0, data, address)
    assert path.read_bytes() == bytes(data)


def test_a_file_system_that_cannot_open_so_is_found_out(
    path: Path, open_file: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_ = os.open

    def refuse(path: Path, flags: int, *rest: Any) -> int:
        if flags & os.O_DIRECT:
            raise OSError(errno.EINVAL, "no")
        return open_(path, flags, *rest)

    monkeypatch.setattr(os, "open", refuse)
    data, address = paged(PAGE_BYTES)
    assert not open_file().write(0, data, address)


def test_a_file_system_that_cannot_write_so_is_asked_once(open_file: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def refuse(fd: int, data: memoryview, offset: int) -> int:
        asked.append(offset)
        raise OSError(errno.EINVAL, "no")

    monkeypatch.setattr(os, "pwrite", refuse)
    file = open_file()
    data, address = paged(PAGE_BYTES)
    assert not file.write(0, data, address)
    assert not file.write(0, data, address)
    assert asked == [0]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_fails_is_told(open_file: Open, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def fail(fd: int, data: memoryview, offset: int) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "pwrite", fail)
    data, address = paged(PAGE_BYTES)
    with pytest.raises(OSError, match=os.strerror(number)):
        open_file().write(0, data, address)
