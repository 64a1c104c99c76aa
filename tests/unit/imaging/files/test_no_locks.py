"""Files on a file system without locks, such as NFS without its lock service; the kernel refuses every lock."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from std_daq.recording.locks import can_lock, has_locks

# Does something with a folder in a process that gets no lock, and prints the result as JSON.
WITHOUT_LOCKS = """
import json, shutil, sys
from pathlib import Path
import h5py
from std_test_kit.refused_calls import deny_locks
deny_locks()
from std_daq.imaging.files import layout
from std_daq.imaging.files.image_file import ImageFile
from std_daq.imaging.files.picture import read_pixels
from std_daq.imaging.files.recover import recover
from std_daq.imaging.files.validate import validate
from std_daq.recording.locks import has_locks
from std_test_kit.image_files import append_images, describe, report_of, write_image_file
folder = Path(sys.argv[1])
{script}
print(json.dumps(result))
"""


def do_without_locks(folder: Path, script: str) -> Any:
    command = [sys.executable, "-c", WITHOUT_LOCKS.format(script=script), folder]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=60).stdout)


def test_hdf5_alone_cannot_write_there(tmp_path: Path) -> None:
    script = """
try:
    h5py.File(folder / "a.h5", "w", locking="best-effort")
except OSError as error:
    result = error.errno
"""
    assert do_without_locks(tmp_path, script) == 37


def test_a_file_is_written_checked_and_shown(tmp_path: Path) -> None:
    script = """
path = folder / "a.h5"
with ImageFile.create(path, describe()) as file:
    has_lock = file.has_lock
    append_images(file, range(4), describe())
    file.finish(report_of())
report = validate(path)
result = has_lock, report.is_valid, report.n_images_read, [p.text for p in report.problems], read_pixels(path).shape
"""
    has_lock, is_valid, n_read, problems, shape = do_without_locks(tmp_path, script)
    assert (has_lock, is_valid, n_read, shape) == (False, True, 4, [32, 48])
    assert "no locks" in problems[0]


def test_a_run_with_several_files_gets_its_master(tmp_path: Path) -> None:
    script = """
for number in (1, 2):
    write_image_file(layout.data_file_path(folder / "a.h5", number), range(10 * number, 10 * number + 4), report_of())
recover(folder / "a.h5")
result = validate(folder / "a.h5").n_images_read
"""
    assert do_without_locks(tmp_path, script) == 8


def test_a_file_whose_writer_was_killed_is_repaired_and_it_is_told_that_there_was_no_lock(tmp_path: Path) -> None:
    script = """
file = ImageFile.create(folder / "a.h5", describe())
append_images(file, range(5), describe())
file.flush()
shutil.copy(folder / "a.h5", folder / "killed.h5")
file.close()
[recovery] = recover(folder / "killed.h5")
result = recovery.n_images, recovery.actions, validate(folder / "killed.h5").is_valid
"""
    n_images, actions, is_valid = do_without_locks(tmp_path, script)
    assert (n_images, is_valid) == (5, True)
    assert "without a lock" in actions[-1]


def test_a_file_that_another_process_of_the_machine_writes_is_not_repaired(tmp_path: Path) -> None:
    script = """
import subprocess
write = (
    "import sys, time; from pathlib import Path; from std_daq.imaging.files.image_file import ImageFile;"
    "from std_test_kit.image_files import describe;"
    "file = ImageFile.create(Path(sys.argv[1]), describe()); print(flush=True); sys.stdin.read()"
)
writer = subprocess.Popen(
    [sys.executable, "-c", write, folder / "a.h5"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
)
writer.stdout.readline()
try:
    result = str(recover(folder / "a.h5"))
except Exception as error:
    result = str(error)
writer.communicate(b"")
"""
    assert "is open in another process" in do_without_locks(tmp_path, script)


def test_whether_a_folder_has_locks_is_found_out(tmp_path: Path) -> None:
    assert has_locks(tmp_path)
    assert do_without_locks(tmp_path, "result = has_locks(folder)") is False
    with (tmp_path / "a").open("w") as file:
        assert can_lock(file.fileno())
