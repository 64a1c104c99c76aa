"""What only the user knows stands in the file as NXmx has it, in one file, in several, and after a crash."""

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from std_daq.imaging.files import layout
from std_daq.imaging.files.axes import SampleAxis
from std_daq.imaging.files.description import NexusMetadata
from std_daq.imaging.files.image_file import ImageFile
from std_daq.imaging.files.master_file import write_master
from std_daq.imaging.files.recover import recover
from std_daq.imaging.files.validate import validate
from std_daq.recording.requests import Verdict
from std_test_kit.image_files import append_images, describe, report_of, write_image_file

OMEGA = SampleAxis(name="omega", vector=(-2.0, 0.0, 0.0), is_rotation=True, start=10.0, increment=0.1)
SAM_X = SampleAxis(
    name="sam_x", vector=(1.0, 0.0, 0.0), is_rotation=False, values=(0.0, 1e-6, 4e-6), offset_m=(0.0, 0.0, 0.1)
)
ROTATION = NexusMetadata(axes=(OMEGA,))
INCOMPLETE = report_of(Verdict.INCOMPLETE)


def angles_of(path: Path) -> list[float]:
    with h5py.File(path) as file:
        angles: list[float] = file[f"{layout.SAMPLE_TRANSFORMATIONS}/omega"][:].tolist()
        return angles


def test_lost_images_leave_a_gap_in_the_angles(tmp_path: Path) -> None:
    path = write_image_file(tmp_path / "a.h5", (5, 6, 9), report_of(), first_id=5, nexus=ROTATION)
    assert angles_of(path) == pytest.approx([10.0, 10.1, 10.4])


def test_images_before_the_first_one_written_count(tmp_path: Path) -> None:
    path = write_image_file(tmp_path / "a.h5", (7, 8), report_of(), first_id=5, nexus=ROTATION)
    assert angles_of(path) == pytest.approx([10.2, 10.3])


def test_angles_go_on_through_more_images_than_are_written_at_once(tmp_path: Path) -> None:
    path = write_image_file(tmp_path / "a.h5", range(1500), report_of(), nexus=ROTATION)
    assert angles_of(path) == pytest.approx(10 + 0.1 * np.arange(1500))


def test_the_master_shows_the_angle_of_each_image(tmp_path: Path) -> None:
    shares = (0, 1, 4, 5), (2, 3, 6, 8)
    files = [
        write_image_file(tmp_path / f"run_data_00000{i + 1}.h5", share, INCOMPLETE, nexus=ROTATION)
        for i, share in enumerate(shares)
    ]
    write_master(tmp_path / "run.h5", files, INCOMPLETE)
    assert angles_of(tmp_path / "run.h5") == pytest.approx([10, 10.1, 10.2, 10.3, 10.4, 10.5, 10.6, 10.8])
    assert validate(tmp_path / "run.h5").is_valid


def test_a_repaired_file_has_an_angle_for_each_image(tmp_path: Path) -> None:
    path, killed = tmp_path / "live.h5", tmp_path / "killed.h5"
    description = describe(nexus=ROTATION)
    with ImageFile.create(path, description) as file:
        append_images(file, range(10), description)
        file.flush()
        append_images(file, range(10, 12), description)
        shutil.copy(path, killed)
    recover(killed)
    assert angles_of(killed) == pytest.approx(10 + 0.1 * np.arange(10))
    assert validate(killed).is_valid


def test_images_whose_angle_was_not_written_are_cut_off_by_a_repair(tmp_path: Path) -> None:
    path = write_image_file(tmp_path / "a.h5", range(10), nexus=ROTATION)
    with h5py.File(path, "r+") as file:
        file[f"{layout.SAMPLE_TRANSFORMATIONS}/omega"].resize((8,))
    [recovery] = recover(path)
    assert recovery.n_images == 8


def test_a_position_that_nobody_gave_is_not_a_number_and_validate_tells(tmp_path: Path) -> None:
    path = write_image_file(tmp_path / "a.h5", range(5), report_of(), nexus=NexusMetadata(axes=(SAM_X,)))
    with h5py.File(path) as file:
        positions = file[f"{layout.SAMPLE_TRANSFORMATIONS}/sam_x"][:]
    assert np.isnan(positions).tolist() == [False, False, False, True, True]
    assert any("sam_x is not known for 2 images" in problem.text for problem in validate(path).problems)
