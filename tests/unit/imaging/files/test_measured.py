"""Measured values in image files: logs beside the images, with checksums, in masters, after a crash."""

from pathlib import Path

import h5py
import pytest

from std_daq.imaging.files import layout
from std_daq.imaging.files.image_file import ImageFile
from std_daq.imaging.files.join import join
from std_daq.imaging.files.master_file import write_master
from std_daq.imaging.files.measured import read_logs
from std_daq.imaging.files.recover import recover
from std_daq.imaging.files.validate import validate
from std_daq.recording.measured_values import ValueLog
from std_test_kit.image_files import append_images, describe, report_of, write_image_file

UNITS = {"sample_x": "mm", "cryo": "K", "beam": ""}
LOGS = {
    "sample_x": ValueLog(
        unit="mm", times_ns=[1_700_000_000_000_000_001, 1_700_000_001_000_000_000], values=[1.5, -2.0]
    ),
    "beam": ValueLog(times_ns=[1_700_000_000_500_000_000], values=[0.0]),
}


def write(path: Path, logs: dict[str, ValueLog] | None = None) -> Path:
    description = describe(measured_units=UNITS, timestamp_units="100 ns")
    with ImageFile.create(path, description) as file:
        append_images(file, range(5), description)
        if logs is not None:
            file.finish(report_of(lost_image_ids=(7, 9), n_lost=2), logs)
    return path


def damage(path: Path) -> list[str]:
    return [problem.text for problem in validate(path).problems if "checksum" in problem.text]


def test_file_has_a_log_of_each_value_and_stays_sound(tmp_path: Path) -> None:
    path = write(tmp_path / "run.h5", LOGS)
    with h5py.File(path) as file:
        group = file[layout.MEASURED]
        assert group.attrs["NX_class"] == b"NXcollection"
        log = group["sample_x"]
        assert log.attrs["NX_class"] == b"NXlog"
        assert log["time"][:].tolist() == LOGS["sample_x"].times_ns
        assert (log["time"].attrs["units"], log["time"].attrs["start"]) == (b"ns", b"1970-01-01T00:00:00Z")
        assert (log["value"][:].tolist(), log["value"].attrs["units"]) == ([1.5, -2.0], b"mm")
        assert "units" not in group["beam/value"].attrs
        assert group["cryo/time"].shape == (0,)
        assert file[layout.LOST_IMAGE_IDS][:].tolist() == [7, 9]
    assert not damage(path)


def test_a_changed_value_is_found_and_a_foreign_log_does_no_harm(tmp_path: Path) -> None:
    path = write(tmp_path / "run.h5", LOGS)
    with h5py.File(path, "r+") as file:
        file[layout.MEASURED].create_group("of_another_program")["value"] = [1.0]
    assert not damage(path)
    with h5py.File(path, "r+") as file:
        file[layout.MEASURED]["sample_x/value"][1] = 2.0
    assert "the end of the run changed after it was written" in str(validate(path).problems)


def test_detectors_clock_has_its_unit_also_in_a_master(tmp_path: Path) -> None:
    path = write(tmp_path / "run_data_000001.h5", {})
    write_master(tmp_path / "run.h5", [path], report_of())
    for name in ("run_data_000001.h5", "run.h5"):
        with h5py.File(tmp_path / name) as file:
            assert file[layout.DETECTOR_TIMESTAMP].attrs["units"] == b"100 ns"
            assert file[layout.MODULE_DETECTOR_TIMESTAMP].attrs["units"] == b"100 ns"
            assert file[layout.TIMESTAMP_NS].attrs["units"] == b"ns"


def test_master_has_the_logs_of_the_run(tmp_path: Path) -> None:
    parts = [write_image_file(tmp_path / f"run_data_00000{i}.h5", range(i, i + 1), report_of()) for i in (1, 2)]
    write_master(tmp_path / "run.h5", parts, report_of(), logs=LOGS)
    with h5py.File(tmp_path / "run.h5") as file:
        assert read_logs(file) == LOGS
    assert not damage(tmp_path / "run.h5")


def test_joined_files_have_the_logs_of_all(tmp_path: Path) -> None:
    later = {"sample_x": ValueLog(unit="mm", times_ns=[1_600_000_000_000_000_000], values=[9.0])}
    parts = [write(tmp_path / "a.h5", LOGS), write(tmp_path / "b.h5", later)]
    for part, first in zip(parts, (0, 5), strict=True):
        with h5py.File(part, "r+") as file:
            file[layout.IMAGE_ID][:] += first
            file[layout.FRAME_INDEX][:] += first
    join(tmp_path / "all.h5", parts)
    with h5py.File(tmp_path / "all.h5") as file:
        assert read_logs(file)["sample_x"].values == [9.0, 1.5, -2.0]
        assert read_logs(file)["beam"] == LOGS["beam"]


def test_file_of_a_killed_writer_keeps_what_it_has(tmp_path: Path) -> None:
    path = write(tmp_path / "run.h5")
    with h5py.File(path, "r+") as file:  # as if the writer was killed between both
        file[f"{layout.MEASURED}/cryo/time"].resize((3,))
    recover(path)
    with h5py.File(path) as file:
        assert file[f"{layout.MEASURED}/cryo/time"].shape == (0,)
    assert not damage(path)


@pytest.mark.parametrize("n", [0, 64])
def test_file_may_have_many_names(tmp_path: Path, n: int) -> None:
    units = {f"value_{i}": "mm" for i in range(n)}
    logs = {name: ValueLog(unit="mm", times_ns=[*range(1500)], values=[1.0] * 1500) for name in units}
    description = describe(measured_units=units)
    with ImageFile.create(tmp_path / "run.h5", description) as file:
        append_images(file, range(3), description)
        file.finish(report_of(), logs)
    with h5py.File(tmp_path / "run.h5") as opened:
        assert len(read_logs(opened)) == n
    assert not damage(tmp_path / "run.h5")
