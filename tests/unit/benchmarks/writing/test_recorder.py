"""The h5_writer as the benchmarks drive it."""

from collections.abc import Iterator
from pathlib import Path

import h5py
import pytest

from std_benchmarks.writing.page_cache import warm_page_cache
from std_benchmarks.writing.recorder import Recorder
from std_daq.imaging.files import layout

N_IMAGES = 300


@pytest.fixture
def recorder(shm_dir: Path, runtime: Path) -> Iterator[Recorder]:
    with Recorder(shm_dir, runtime / "bench", (8, 64), ring_bytes=1 << 16) as recorder:
        yield recorder


def test_a_recording_is_timed_checked_and_tells_how_far_it_is(recorder: Recorder, tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    progress: list[int] = []
    recording = recorder.record(path, N_IMAGES, on_progress=progress.append)
    recorder.check(path, N_IMAGES)
    assert min(recording.begin_s, recording.write_s, recording.end_s) > 0
    assert progress[-1] >= N_IMAGES
    with pytest.raises(AssertionError, match="pixels of"):
        recorder.check(path, N_IMAGES + 1)
    with h5py.File(path, "r+") as file:
        file[layout.PIXELS][0, 0, 0] += 1
    with pytest.raises(AssertionError, match="differs"):
        recorder.check(path, N_IMAGES)


def test_warming_the_page_cache_leaves_nothing(tmp_path: Path) -> None:
    warm_page_cache(tmp_path, 1)
    assert list(tmp_path.iterdir()) == []
