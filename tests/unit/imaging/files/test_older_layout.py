"""Files that an earlier std-daq wrote are still read, checked, repaired and joined."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from std_daq.errors import FileFormatError
from std_daq.imaging.files import layout
from std_daq.imaging.files.contents import read_columns
from std_daq.imaging.files.master_file import write_master
from std_daq.imaging.files.recover import recover
from std_daq.imaging.files.validate import validate
from std_daq.recording.requests import Verdict
from std_test_kit.image_files import report_of, write_image_file

COLUMNS_OF_VERSION_1 = {
    *("pulse_id", "frame_index", "timestamp_ns", "status", "calibration", "missing_packets", "image_id"),
}


def write_file_of_version_1(path: Path, image_ids: range, *, is_finished: bool = True) -> Path:
    report = report_of(Verdict.INCOMPLETE, n_incomplete=1) if is_finished else None
    write_image_file(path, image_ids, report)
    with h5py.File(path, "r+") as file:
        for name in {*file[layout.DETECTOR_SPECIFIC]} - COLUMNS_OF_VERSION_1:
            if f"{layout.DETECTOR_SPECIFIC}/{name}" in layout.PER_IMAGE:
                del file[layout.DETECTOR_SPECIFIC][name]
        file[layout.LAYOUT_VERSION][()] = 1
    return path


def test_file_of_version_1_is_valid_and_has_its_columns(tmp_path: Path) -> None:
    path = write_file_of_version_1(tmp_path / "a.h5", range(1, 6))
    report = validate(path)
    assert report.is_valid
    assert (report.n_images, report.n_images_read) == (5, 5)
    with h5py.File(path) as file:
        assert {name.rpartition("/")[2] for name in read_columns(file)} == COLUMNS_OF_VERSION_1


def test_file_of_version_2_is_valid_without_checksums(tmp_path: Path) -> None:
    path = write_image_file(tmp_path / "a.h5", range(1, 6), report_of(Verdict.INCOMPLETE, n_incomplete=1))
    with h5py.File(path, "r+") as file:
        del file[layout.CHECKSUMS]
        file[layout.LAYOUT_VERSION][()] = 2
    assert validate(path).is_valid
    assert recover(path)[0].actions == ()


def test_file_of_version_1_without_an_end_is_repaired(tmp_path: Path) -> None:
    path = write_file_of_version_1(tmp_path / "a.h5", range(1, 6), is_finished=False)
    assert recover(path)[0].n_images == 5
    assert validate(path).verdict == "failed"


def test_files_of_version_1_are_joined_by_a_master_of_version_1(tmp_path: Path) -> None:
    files = [write_file_of_version_1(tmp_path / f"{i}.h5", range(5 * i, 5 * i + 5)) for i in range(2)]
    write_master(tmp_path / "run.h5", files, report_of(Verdict.INCOMPLETE, n_incomplete=2))
    assert validate(tmp_path / "run.h5").is_valid
    with h5py.File(tmp_path / "run.h5") as file:
        assert file[layout.LAYOUT_VERSION][()] == 1
        assert np.array_equal(file[layout.IMAGE_ID], np.arange(10))


def test_files_of_two_versions_are_not_joined(tmp_path: Path) -> None:
    files = [
        write_file_of_version_1(tmp_path / "a.h5", range(5)),
        write_image_file(tmp_path / "b.h5", range(5, 10), report_of()),
    ]
    with pytest.raises(FileFormatError, match="another shape, type or layout"):
        write_master(tmp_path / "run.h5", files, report_of())
