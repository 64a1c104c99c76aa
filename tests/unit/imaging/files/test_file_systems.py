"""A run on file systems that lack what others have: space allocated ahead, renames that replace nothing, links."""

import errno
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from std_test_kit.small_disk import SmallDisk

# Writes a run with two files, repairs a third one of a killed writer, and writes the master.
WRITE_RUN = """
import json, shutil, sys
from pathlib import Path
import numpy as np
from std_test_kit.refused_calls import refuse_calls
folder = Path(sys.argv[1])
for error, *names in json.loads(sys.argv[2]):
    refuse_calls(error, *names)
from std_daq.imaging.files import layout
from std_daq.imaging.files.ending import finish_closed
from std_daq.imaging.files.image_file import ImageFile
from std_daq.imaging.files.recover import recover
from std_daq.imaging.files.validate import validate
from std_daq.recording.requests import Verdict
from std_test_kit.image_files import append_images, describe, report_of, write_image_file
path = folder / "run.h5"
report = report_of(Verdict.INCOMPLETE, n_lost=2, lost_image_ids=(90, 91))
finish_closed(write_image_file(layout.data_file_path(path, 1), range(10, 15)), report)
write_image_file(layout.data_file_path(path, 2), range(20, 25), report)
file = ImageFile.create(folder / "killed", describe())
append_images(file, range(30, 35), describe())
file.flush()
shutil.copyfile(folder / "killed", layout.data_file_path(path, 3))
file.close()
(folder / "killed").unlink()
recover(path)
checked = validate(path)
print(json.dumps([checked.is_valid, checked.n_images_read, checked.lost_image_ids]))
"""


def assert_run_is_written(folder: Path, *refused: tuple[int | str, ...]) -> None:
    command = [sys.executable, "-c", WRITE_RUN, folder, json.dumps(refused)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=120)
    assert json.loads(done.stdout) == [True, 15, [90, 91]]
    names = ["run.h5", *(f"run_data_{number:06d}.h5" for number in (1, 2, 3))]
    assert sorted(path.name for path in folder.iterdir() if path.name != "lost+found") == names


@pytest.mark.parametrize(
    "refused",
    [
        [(errno.EOPNOTSUPP, "fallocate")],
        [(errno.EINVAL, "renameat2")],
        [(errno.ENOSYS, "renameat2"), (errno.EPERM, "linkat")],
        [(errno.ENOSYS, "sync_file_range")],
        [
            (errno.EOPNOTSUPP, "fallocate"),
            (errno.EINVAL, "renameat2"),
            (errno.EOPNOTSUPP, "linkat"),
            (errno.ENOLCK, "flock"),
            (errno.EINVAL, "sync_file_range"),
        ],
    ],
    ids=["no fallocate", "no rename without replacing", "neither that nor links", "no write-back", "nothing of it"],
)
def test_a_run_is_written_on_a_file_system_that_lacks_something(
    tmp_path: Path, refused: list[tuple[int | str, ...]]
) -> None:
    assert_run_is_written(tmp_path, *refused)


@pytest.mark.parametrize(
    "mount",
    [
        SmallDisk.over_another,
        lambda folder: SmallDisk.on_device(folder, 64 << 20),
        lambda folder: SmallDisk.in_memory(folder, 64 << 20),
    ],
    ids=["overlay", "ext4", "tmpfs"],
)
def test_a_run_is_written_on_every_file_system(mount_folder: Path, mount: Callable[[Path], SmallDisk]) -> None:
    assert_run_is_written(mount(mount_folder).folder)
