"""Arrays that a detector adds to its files: while they grow, after a crash, and in a master."""

from pathlib import Path

import h5py
import numpy as np

from std_daq.imaging.files import layout
from std_daq.imaging.files.image_file import ImageFile
from std_daq.imaging.files.master_file import write_master
from std_daq.imaging.files.recover import recover
from std_daq.imaging.files.validate import validate
from std_daq.imaging.protocols.own_columns import OwnColumn, OwnColumns
from std_test_kit.image_files import append_images, describe, report_of, write_image_file

OWN = OwnColumns(
    {
        "per_module": OwnColumn(np.dtype("<i8"), is_per_module=True),
        "per_image": OwnColumn(np.dtype("<u2"), is_per_module=False, units="ns"),
    },
    lambda modules: {
        "per_module": modules["timestamp"].astype(np.int64) * 3,
        "per_image": modules["frame_index"][:, 0].astype(np.uint16),
    },
)


def assert_has_columns(path: Path, image_ids: list[int], *, swmr: bool = False) -> None:
    with h5py.File(path, "r", swmr=swmr) as file:
        assert file[layout.IMAGE_ID][:].tolist() == image_ids
        group = file[layout.OWN_COLUMNS]
        assert group.attrs["NX_class"] == b"NXcollection"
        assert group["per_image"].attrs["units"] == b"ns"
        assert group["per_image"][:].tolist() == image_ids
        assert group["per_module"][:].tolist() == [[3 * (i + 2000 + m) for m in range(3)] for i in image_ids]


def test_they_grow_with_the_file_and_survive_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    description = describe(own_columns=OWN)
    file = ImageFile.create(path, description)
    append_images(file, range(1, 2000), description)  # more than are collected at once
    file.flush()
    assert_has_columns(path, list(range(1, 2000)), swmr=True)
    append_images(file, range(2000, 2003), description)
    file.close()  # without a verdict, as after a crash
    recover(path)
    assert_has_columns(path, list(range(1, 2003)))
    assert validate(path).is_valid


def test_master_has_those_of_all_data_files_in_order(tmp_path: Path) -> None:
    data_files = [tmp_path / f"run_data_{number:06d}.h5" for number in (1, 2)]
    write_image_file(data_files[0], range(1, 4), own_columns=OWN, master_file="run.h5")
    write_image_file(data_files[1], range(4, 6), own_columns=OWN, master_file="run.h5")
    write_master(tmp_path / "run.h5", data_files, report_of())
    assert_has_columns(tmp_path / "run.h5", [1, 2, 3, 4, 5])


def test_other_detectors_have_no_such_group(tmp_path: Path) -> None:
    write_image_file(tmp_path / "run.h5")
    with h5py.File(tmp_path / "run.h5", "r") as file:
        assert layout.OWN_COLUMNS not in file
