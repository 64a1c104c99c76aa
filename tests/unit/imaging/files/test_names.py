"""Names that a run gives to files, also those that other programs read as something else."""

import resource
import subprocess
import sys
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401  (registers the filter)
import numpy as np
import pytest

from std_daq.imaging.files import layout, names
from std_daq.imaging.files.names import RunNames
from std_daq.imaging.files.recover import recover
from std_daq.imaging.files.validate import validate
from std_daq.recording.requests import Verdict
from std_test_kit.image_files import image_of, report_of, write_image_file

READ_ALL = """
import h5py, hdf5plugin, json, sys
with h5py.File(sys.argv[1]) as file:
    pixels = file[sys.argv[2]]
    print(json.dumps([int(pixels[row, 0, 0]) for row in range(len(pixels))]))
"""


def write_run(path: Path, n_files: int = 2, **changes: object) -> list[int]:
    """Write a run of three images a file, and its master; returns the ids of the images."""
    for number in range(1, n_files + 1):
        ids = range(3 * number, 3 * number + 3)
        write_image_file(layout.data_file_path(path, number), ids, report_of(Verdict.INCOMPLETE), **changes)
    recover(path)
    return list(range(3, 3 * n_files + 3))


@pytest.mark.parametrize(
    "name",
    ["50%.h5", "a%%b.h5", "run_%b.h5", "%d%%%s.h5", "%", "-x.h5", "a b .h5", " .h5", "run", "RUN.H5", ".h5", "é*?.h5"],
)
def test_a_master_shows_the_images_of_a_run_of_any_name(tmp_path: Path, name: str) -> None:
    ids = write_run(tmp_path / name)
    with h5py.File(tmp_path / name) as file:
        assert file[layout.PIXELS][:, 0, 0].tolist() == [image_of(i)[0, 0] for i in ids]
        assert [text.decode() for text in file[layout.DATA_FILES][:]] == [
            layout.data_file_path(tmp_path / name, number).name for number in (1, 2)
        ]
    report = validate(tmp_path / name)
    assert report.is_valid
    assert report.n_images_read == len(ids)


def test_a_missing_data_file_of_a_name_with_percent_is_told_with_its_own_name(tmp_path: Path) -> None:
    write_run(tmp_path / "50%.h5")
    layout.data_file_path(tmp_path / "50%.h5", 2).unlink()
    texts = [problem.text for problem in validate(tmp_path / "50%.h5").problems]
    assert any(text.startswith("data file 50%_data_000002.h5: missing") for text in texts)


@pytest.mark.parametrize(
    ("dtype", "absent"),
    [("u1", 255), ("u2", 65535), ("u4", 2**32 - 1), ("i2", -(2**15)), ("i4", -(2**31)), ("f4", np.nan)],
)
def test_pixels_of_a_missing_data_file_are_masked_and_never_zero(tmp_path: Path, dtype: str, absent: float) -> None:
    write_run(tmp_path / "a.h5", dtype=dtype)
    layout.data_file_path(tmp_path / "a.h5", 1).unlink()
    with h5py.File(tmp_path / "a.h5") as file:
        assert np.array_equal(np.unique(file[layout.PIXELS][:3]), [absent], equal_nan=True)
        assert (file[layout.PIXELS][3:] == [image_of(i, dtype) for i in (6, 7, 8)]).all()


@pytest.mark.long
def test_a_reader_that_cannot_open_all_data_files_sees_no_zeros_and_validate_tells_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = write_run(tmp_path / "a.h5", n_files=40)
    shown = subprocess.check_output(
        [sys.executable, "-c", READ_ALL, tmp_path / "a.h5", layout.PIXELS],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32)),
        timeout=60,
    )
    expected = [int(image_of(i)[0, 0]) for i in ids]
    pixels = [int(text) for text in shown.decode().strip("[]\n").split(",")]
    assert set(pixels) - set(expected) == {65535}
    assert not any("open files" in problem.text for problem in validate(tmp_path / "a.h5").problems)
    monkeypatch.setattr("std_daq.imaging.files.validate.MANY_DATA_FILES", 39)
    [warning] = [problem for problem in validate(tmp_path / "a.h5").problems if "open files" in problem.text]
    assert "limit of open files is lower shows 65535" in warning.text
    assert warning.severity == "warning"


def test_names_of_other_runs_are_no_data_files(tmp_path: Path) -> None:
    run = RunNames(tmp_path / "run.h5", True)
    for number in ("1", "000000", "00000x", "٠٠٠٠٠١", "000001.h5"):
        (tmp_path / f"run_data_{number}.h5").touch()
    assert run.find_existing() is None
    (tmp_path / "run_data_1000000.h5").touch()
    (tmp_path / "run_data_000007.h5").touch()
    assert run.find_existing() == tmp_path / "run_data_000007.h5"


def test_names_collide_in_a_folder_that_takes_one_case_for_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    several, other = RunNames(tmp_path / "run.h5", True), RunNames(tmp_path / "RUN_data_000002.H5", False)
    assert not several.collides_with(other)
    monkeypatch.setattr(names, "_ignores_case", lambda folder: True)
    assert several.collides_with(other)
    assert other.collides_with(several)
    assert not several.collides_with(RunNames(tmp_path / "run2.h5", True))
