"""Files whose writer was killed are whole again up to the last flush, and nothing else is touched."""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import pytest

from std_daq.errors import FileFormatError
from std_daq.imaging.files import layout
from std_daq.imaging.files import recover as recovery
from std_daq.imaging.files.image_file import ImageFile
from std_daq.imaging.files.recover import recover
from std_daq.imaging.files.validate import validate
from std_daq.recording.repair import RECOVERED
from std_daq.recording.requests import Verdict
from std_daq.recording.superblock import N_BYTES, Superblock
from std_test_kit.image_files import append_images, describe, image_of, report_of, write_image_file

WRITE_FOREVER = """
import itertools, sys
from pathlib import Path
from std_daq.imaging.files.image_file import ImageFile
from std_test_kit.image_files import append_images, describe
file = ImageFile.create(Path(sys.argv[1]), describe(compression=sys.argv[2]))
for n in itertools.count(0, 3):
    file.flush()
    print(n, flush=True)
    append_images(file, range(n, n + 3), describe(compression=sys.argv[2]))
"""


def killed_file(path: Path, n_reports: int, compression: str = "none") -> int:
    """Kill a writer after so many flushes; return how many images it had flushed at least."""
    command = [sys.executable, "-c", WRITE_FOREVER, path, compression]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        for _ in range(n_reports):
            writer.stdout.readline()
        writer.kill()
        rest = writer.stdout.read().split("\n")[:-1]
    return int(rest[-1]) if rest else 3 * (n_reports - 1)


def assert_whole(path: Path, n_at_least: int) -> None:
    with h5py.File(path) as file:
        n_images = file[layout.PIXELS].shape[0]
        assert n_images >= n_at_least
        assert all(file[name].shape[0] == n_images for name in layout.PER_IMAGE)
        assert file[layout.IMAGE_ID][:].tolist() == list(range(n_images))
        assert all((file[layout.PIXELS][i] == image_of(i)).all() for i in range(n_images))
        assert file[layout.N_IMAGES][()] == n_images
        assert file[layout.VERDICT].asstr()[()] == "failed"
        assert file[layout.REASON].asstr()[()] == "writer was killed, recovered"


def damaged_copy(tmp_path: Path) -> Path:
    """Return a file as a killed writer leaves it, of ten images."""
    path = tmp_path / "live.h5"
    description = describe()
    with ImageFile.create(path, description) as file:
        append_images(file, range(10), description)
        file.flush()
        shutil.copy(path, tmp_path / "killed.h5")
    return tmp_path / "killed.h5"


@pytest.mark.long
@pytest.mark.parametrize(("n_reports", "compression"), [(1, "none"), (2, "bslz4"), (9, "none"), (40, "bslz4")])
def test_a_killed_writers_file_is_whole_up_to_the_last_flush(tmp_path: Path, n_reports: int, compression: str) -> None:
    path = tmp_path / "run.h5"
    n_flushed = killed_file(path, n_reports, compression)
    with pytest.raises(OSError, match="already open"):
        h5py.File(path)
    (result,) = recover(path)
    assert result.n_images >= n_flushed
    assert_whole(path, n_flushed)
    assert validate(path).is_valid


def test_recovering_again_changes_not_a_byte(tmp_path: Path) -> None:
    path = damaged_copy(tmp_path)
    assert recover(path)[0].actions
    data = path.read_bytes()
    assert recover(path)[0].actions == ()
    assert path.read_bytes() == data


@pytest.mark.parametrize("compression", ["none", "bslz4"])
def test_a_healthy_file_stays_as_it_is(tmp_path: Path, compression: str) -> None:
    path = write_image_file(tmp_path / "run.h5", report=report_of(), compression=compression)
    data = path.read_bytes()
    assert recover(path)[0].actions == ()
    assert path.read_bytes() == data


def test_a_verdict_that_was_written_before_the_kill_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "live.h5"
    file = ImageFile.create(path, describe())
    monkeypatch.setattr(file, "close", lambda: shutil.copy(path, tmp_path / "killed.h5"))
    file.finish(report_of(Verdict.COMPLETE))
    monkeypatch.undo()
    file.close()
    recover(tmp_path / "killed.h5")
    with h5py.File(tmp_path / "killed.h5") as recovered:
        assert recovered[layout.VERDICT].asstr()[()] == "complete"


def test_images_of_which_not_all_is_known_are_cut_off(tmp_path: Path) -> None:
    path = damaged_copy(tmp_path)
    recover(path)
    with h5py.File(path, "r+") as file:
        file[layout.IMAGE_ID].resize((7,))
    recover(path)
    with h5py.File(path) as file:
        assert file[layout.PIXELS].shape[0] == 7
        assert all(file[name].shape[0] == 7 for name in layout.PER_IMAGE)


def test_rows_whose_pixels_were_never_written_are_cut_off(tmp_path: Path) -> None:
    path = damaged_copy(tmp_path)
    recover(path)
    with h5py.File(path, "r+") as file:
        for name in (layout.PIXELS, *layout.PER_IMAGE):
            file[name].resize(12, axis=0)
    recover(path)
    assert_whole(path, 10)


def test_incomplete_images_are_counted_and_the_end_is_that_of_the_last_image(tmp_path: Path) -> None:
    path = damaged_copy(tmp_path)
    recover(path)
    with h5py.File(path) as file:
        assert file[layout.N_INCOMPLETE][()] == 2
        assert file[layout.N_LOST][()] == layout.UNKNOWN_COUNT
        assert file[layout.END_TIME].asstr()[()] >= file[layout.START_TIME].asstr()[()]


def test_a_file_that_is_being_written_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    description = describe()
    with ImageFile.create(path, description) as file:
        append_images(file, range(3), description)
        file.flush()
        data = path.read_bytes()
        with pytest.raises(FileFormatError, match="still being written"):
            recover(path)
        assert path.read_bytes() == data
        file.finish(report_of())
    assert validate(path).is_valid


def test_a_repair_that_dies_before_it_writes_the_end_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = damaged_copy(tmp_path)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(recovery, "_write_end", die)
    with pytest.raises(KeyboardInterrupt):
        recover(path)
    monkeypatch.undo()
    recover(path)
    assert_whole(path, 10)


def test_a_repair_that_dies_as_it_has_opened_the_file_for_writing_can_be_repeated(tmp_path: Path) -> None:
    path = damaged_copy(tmp_path)
    script = """
import os, sys
from pathlib import Path
from std_daq.imaging.files import recover
recover.keep_metadata_in_memory = lambda file: os.kill(os.getpid(), 9)
recover.recover(Path(sys.argv[1]))
"""
    assert subprocess.run([sys.executable, "-c", script, path], timeout=60).returncode == -9
    recover(path)
    assert_whole(path, 10)


def test_a_file_that_stays_unreadable_is_left_as_it_was(tmp_path: Path) -> None:
    path = damaged_copy(tmp_path)
    data = bytearray(path.read_bytes())
    root = Superblock.parse(bytes(data[:N_BYTES])).root_address
    data[root : root + 8] = b"\xff" * 8
    path.write_bytes(data)
    with pytest.raises(FileFormatError, match="cannot be"):
        recover(path)
    assert path.read_bytes() == data


def test_a_file_that_was_cut_off_in_copying_is_refused(tmp_path: Path) -> None:
    path = write_image_file(tmp_path / "run.h5", report=report_of())
    os.truncate(path, path.stat().st_size - 1000)
    with pytest.raises(FileFormatError, match="copy it again"):
        recover(path)


@pytest.mark.parametrize("content", [b"", b"not HDF5" * 100])
def test_what_is_not_hdf5_is_refused_untouched(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.h5").write_bytes(content)
    with pytest.raises(FileFormatError, match="not an HDF5 file"):
        recover(tmp_path / "a.h5")
    assert (tmp_path / "a.h5").read_bytes() == content


def test_a_file_of_another_program_is_refused_untouched(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w", libver=("v110", "v110")) as file:
        file["x"] = 1
    data = path.read_bytes()
    with pytest.raises(FileFormatError, match="not an image file of std-daq"):
        recover(path)
    assert path.read_bytes() == data


def test_a_run_whose_master_is_missing_gets_one(tmp_path: Path) -> None:
    for number in (1, 2):
        write_image_file(
            tmp_path / f"run_data_{number:06d}.h5",
            range(number * 10, number * 10 + 4),
            report_of(Verdict.INCOMPLETE, reason="2 lost", n_lost=2, lost_image_ids=(14, 15)),
        )
        (tmp_path / f"run_data_{number:06d}.h5").chmod(0o640)
    *_, master = recover(tmp_path / "run.h5")
    assert master.n_images == 8
    assert master.path.stat().st_mode & 0o7777 == 0o640
    result = validate(tmp_path / "run.h5")
    assert result.is_valid
    assert (result.verdict, result.reason) == ("incomplete", "2 lost")
    assert result.lost_image_ids == [14, 15]


def test_a_run_of_which_one_writer_was_killed_gets_a_master_that_says_so(tmp_path: Path) -> None:
    write_image_file(tmp_path / "run_data_000001.h5", range(10, 14), report_of())
    shutil.move(damaged_copy(tmp_path), tmp_path / "run_data_000002.h5")
    recover(tmp_path / "run.h5")
    with h5py.File(tmp_path / "run.h5") as file:
        assert file[layout.IMAGE_ID][:].tolist() == list(range(14))
        assert file[layout.VERDICT].asstr()[()] == "failed"
        assert RECOVERED in file[layout.REASON].asstr()[()]


def test_a_writer_that_was_killed_between_two_files_leaves_no_number_of_lost_images(tmp_path: Path) -> None:
    for number in (1, 2):
        write_image_file(tmp_path / f"run_data_{number:06d}.h5", range(number * 10, number * 10 + 4))
    recover(tmp_path / "run.h5")
    assert validate(tmp_path / "run.h5").n_lost is None
    with h5py.File(tmp_path / "run.h5") as file:
        assert file[layout.N_LOST][()] == layout.UNKNOWN_COUNT
        assert file[layout.IMAGE_ID][:].tolist() == [*range(10, 14), *range(20, 24)]


def test_a_master_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    write_image_file(tmp_path / "run_data_000001.h5", range(4), report_of())
    recover(tmp_path / "run.h5")
    data = (tmp_path / "run.h5").read_bytes()
    assert recover(tmp_path / "run.h5")[0].actions == ()
    assert (tmp_path / "run.h5").read_bytes() == data


def test_a_path_at_which_there_is_nothing_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"run\.h5"):
        recover(tmp_path / "run.h5")


def test_the_lock_is_given_back(tmp_path: Path) -> None:
    path = damaged_copy(tmp_path)
    recover(path)
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
