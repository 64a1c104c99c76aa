"""Pixels of an image file that go past the page cache: the file is the same as if they had not."""

import mmap
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from std_daq.imaging.files import layout
from std_daq.imaging.files.image_file import ImageFile
from std_daq.imaging.files.recover import recover
from std_daq.imaging.files.validate import validate
from std_test_kit.image_files import describe, metadata_of, modules_of, report_of

WHOLE_PAGES = (512, 1024)
WITH_A_REST = (514, 1030)
SMALL = (32, 48)

# Writes images of 1 MB past the page cache until no more than so many bytes fit, as on a full disk.
WRITE_UNTIL_FULL = """
import mmap, resource, signal, sys
from pathlib import Path
import numpy as np
from std_daq.imaging.files.image_file import ImageFile
from std_daq.recording.requests import Verdict
from std_test_kit.image_files import describe, metadata_of, modules_of, report_of

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
file = ImageFile.create(Path(sys.argv[1]), describe(shape=(512, 1024)))
limits = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000_000, limits[1]))
image = np.frombuffer(mmap.mmap(-1, 1 << 20), np.uint16).reshape(512, 1024)
try:
    for i in range(100):
        image[:] = i
        file.append(image, metadata_of(i), modules_of(i), past_page_cache=True)
        if i % 5 == 4:
            file.flush()
except OSError as error:
    print(error.errno, error)
print(file.n_direct)
resource.setrlimit(resource.RLIMIT_FSIZE, limits)
file.finish(report_of(Verdict.FAILED, reason="disk full"))
"""


class Memory:
    """An image in memory that begins at a page, as in a ring."""

    def __init__(self, shape: tuple[int, int]) -> None:
        n_bytes = 2 * shape[0] * shape[1]
        self.image = np.frombuffer(mmap.mmap(-1, n_bytes), np.uint16).reshape(shape)

    def fill(self, image_id: int) -> np.ndarray:
        self.image[:] = image_id
        self.image[-1] = np.arange(self.image.shape[1]) + image_id
        return self.image


def append(file: ImageFile, memory: Memory, image_id: int, *, past_page_cache: bool = True) -> None:
    file.append(memory.fill(image_id), metadata_of(image_id, status=0), modules_of(0), past_page_cache=past_page_cache)


def assert_holds(path: Path, image_ids: list[int], memory: Memory) -> None:
    with h5py.File(path) as file:
        assert file[layout.IMAGE_ID][:].tolist() == image_ids
        assert file[layout.PIXELS].shape[0] == len(image_ids)
        for row, image_id in enumerate(image_ids):
            assert (file[layout.PIXELS][row] == memory.fill(image_id)).all(), row


STEPS = st.lists(st.sampled_from(["direct", "cached", "dropped", "flush", "drop and flush"]), max_size=25)


@pytest.mark.parametrize("shape", [WHOLE_PAGES, WITH_A_REST, SMALL])
@given(steps=STEPS)
@settings(max_examples=15, deadline=None)
def test_the_way_of_an_image_changes_no_byte_of_it(
    tmp_path_factory: pytest.TempPathFactory, shape: tuple[int, int], steps: list[str]
) -> None:
    path = tmp_path_factory.mktemp("rows") / "a.h5"
    memory = Memory(shape)
    kept: list[int] = []
    n_direct = 0
    with ImageFile.create(path, describe(shape=shape)) as file:
        for image_id, step in enumerate(steps):
            if step == "flush":
                file.flush()
                continue
            append(file, memory, image_id, past_page_cache=step != "cached")
            if step in {"dropped", "drop and flush"}:
                file.drop_last()
            else:
                kept.append(image_id)
                n_direct += step == "direct"
            if step == "drop and flush":
                file.flush()
        assert file.n_direct <= n_direct
        assert shape != SMALL or file.n_direct == 0
        file.finish(report_of(n_written=len(kept)))
    assert_holds(path, kept, memory)
    path.unlink()


@pytest.mark.parametrize("shape", [WHOLE_PAGES, WITH_A_REST])
def test_nearly_all_images_go_past_the_page_cache(tmp_path: Path, shape: tuple[int, int]) -> None:
    path = tmp_path / "a.h5"
    memory = Memory(shape)
    with ImageFile.create(path, describe(shape=shape)) as file:
        for image_id in range(300):
            append(file, memory, image_id)
        assert 290 <= file.n_direct < 300  # of some HDF5 does not tell the place
        file.finish(report_of(n_written=300))
    assert_holds(path, list(range(300)), memory)
    assert validate(path).is_valid


def test_memory_that_begins_at_no_page_is_written_too(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    image = np.zeros(WHOLE_PAGES[0] * WHOLE_PAGES[1] + 1, np.uint16)[1:].reshape(WHOLE_PAGES)
    image += np.arange(WHOLE_PAGES[1], dtype=np.uint16)
    with ImageFile.create(path, describe(shape=WHOLE_PAGES)) as file:
        file.append(image, metadata_of(0), modules_of(0), past_page_cache=True)
        assert file.n_direct == 0
    with h5py.File(path) as file:
        assert (file[layout.PIXELS][0] == image).all()


def test_a_killed_writers_file_has_all_that_was_flushed(tmp_path: Path) -> None:
    path, killed = tmp_path / "a.h5", tmp_path / "killed.h5"
    memory = Memory(WITH_A_REST)
    with ImageFile.create(path, describe(shape=WITH_A_REST)) as file:
        for image_id in range(20):
            append(file, memory, image_id)
            if image_id == 12:
                file.flush()
        shutil.copy(path, killed)
    recover(killed)
    with h5py.File(killed) as recovered:
        n_images = recovered[layout.PIXELS].shape[0]
    assert n_images >= 13
    assert_holds(killed, list(range(n_images)), memory)


def test_a_full_disk_is_named_and_what_was_written_is_saved(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    command = [sys.executable, "-c", WRITE_UNTIL_FULL, path]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    error, n_direct = result.stdout.splitlines()
    assert "cannot write image 18: File too large" in error
    assert int(n_direct) >= 17
    with h5py.File(path) as file:
        assert file[layout.IMAGE_ID][:].tolist() == list(range(18))
        assert all((file[layout.PIXELS][row] == row).all() for row in range(18))
        assert file[layout.VERDICT].asstr()[()] == "failed"
