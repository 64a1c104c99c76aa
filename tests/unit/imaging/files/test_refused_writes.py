"""What is left of files when the disk or a quota has no more room."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  (registers the filter)
import numpy as np
import pytest

from std_daq.imaging.files import layout
from std_daq.imaging.files.validate import validate
from std_test_kit.image_files import N_PATTERNS, image_of

# Writes five images, flushes, and writes on until the system refuses; prints what it is told.
WRITE_UNTIL_REFUSED = """
import errno, json, os, sys
from pathlib import Path
from std_daq.imaging.files.ending import finish_closed
from std_daq.imaging.files.image_file import ImageFile
from std_daq.recording.requests import Verdict
from std_test_kit.image_files import append_images, describe, report_of, write_image_file
from std_test_kit.refused_calls import refuse_calls

folder, error, calls = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
report = report_of(Verdict.FAILED, reason="because", n_lost=2, lost_image_ids=(5, 6))
closed = write_image_file(folder / "closed.h5", range(5))
file = ImageFile.create(folder / "open.h5", describe())
append_images(file, range(5), describe())
file.flush()
refuse_calls(error, *calls)
told = []
try:
    append_images(file, range(5, 40_000), describe())
except OSError as failure:
    told.append((failure.errno, str(failure)))
for finish in (lambda: file.finish(report), lambda: finish_closed(closed, report)):
    try:
        finish()
        told.append(None)
    except OSError as failure:
        told.append((failure.errno, str(failure)))
try:
    ImageFile.create(folder / "new.h5", describe())
except OSError as failure:
    told.append((failure.errno, str(failure)))
print(json.dumps([file.n_flushed, told]))
"""


def write_until_refused(folder: Path, error: int, *calls: str) -> tuple[int, list[list[Any] | None]]:
    command = [sys.executable, "-c", WRITE_UNTIL_REFUSED, folder, str(error), *calls]
    done = subprocess.run(command, check=True, capture_output=True, timeout=120)
    assert done.stderr == b""
    n_flushed, told = json.loads(done.stdout)
    return n_flushed, told


def assert_holds(path: Path, n_images: int) -> None:
    with h5py.File(path) as file:
        ids = file[layout.IMAGE_ID][:]
        assert ids.tolist() == list(range(n_images))
        patterns = np.stack([image_of(i) for i in range(N_PATTERNS)])
        np.testing.assert_array_equal(file[layout.PIXELS][:], patterns[ids % N_PATTERNS])


@pytest.mark.long
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT])
def test_without_room_files_end_properly_and_only_closed_ones_lack_the_ids_of_lost_images(
    tmp_path: Path, error: int
) -> None:
    n_flushed, told = write_until_refused(tmp_path, error, "fallocate")
    image, end_of_open, end_of_closed, new = told
    assert image == [
        error,
        f"[Errno {error}] cannot write image {n_flushed}: {os.strerror(error)}: '{tmp_path}/open.h5'",
    ]
    assert end_of_open is None  # it holds the space that its end needs
    assert end_of_closed is not None
    assert "cannot write the ids of the lost images" in end_of_closed[1]
    assert new is not None
    assert new[0] == error
    for name, n_images, lost_ids in (("open.h5", n_flushed, [5, 6]), ("closed.h5", 5, [])):
        assert_holds(tmp_path / name, n_images)
        report = validate(tmp_path / name)
        assert (report.verdict, report.n_lost, report.lost_image_ids) == ("failed", 2, lost_ids)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["closed.h5", "open.h5"]
