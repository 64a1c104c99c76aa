import hashlib
import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from std_daq.errors import CalibrationError
from std_daq.imaging.detectors.jungfrau.converter import CorrectingConverter
from std_daq.imaging.detectors.jungfrau.options import JungfrauOptions
from std_daq.imaging.detectors.jungfrau.tables import ONLY_CELL, load_mask, load_tables
from std_daq.imaging.detectors.module_map import Placement


def write(path: Path, **datasets: Any) -> Path:
    with h5py.File(path, "w") as file:
        for name, values in datasets.items():
            file[name] = values
    return path


def pedestals(n_planes: int = 3) -> NDArray[np.float32]:
    return np.full((n_planes, 512, 1024), 100, np.float32)


def gains(n_planes: int = 4) -> NDArray[np.float32]:
    return np.full((n_planes, 512, 1024), 2, np.float32)


def mask() -> NDArray[np.uint8]:
    return np.zeros((512, 1024), np.uint8)


@pytest.fixture
def options(tmp_path: Path) -> JungfrauOptions:
    return JungfrauOptions(
        conversion="kev",
        pedestal_file=write(tmp_path / "pedestal.h5", gains=pedestals(), pixel_mask=mask()),
        gain_file=write(tmp_path / "gain.h5", gains=gains()),
    )


def changed(values: NDArray[Any], index: Any, value: float) -> NDArray[Any]:
    values[index] = value
    return values


def test_files_of_the_right_shape_become_pedestal_and_inverse_gain(options: JungfrauOptions) -> None:
    tables = load_tables(options, 1).cells[ONLY_CELL]
    for code in (0, 1, 3):
        np.testing.assert_array_equal(tables.by_module[0][:, :, code], np.broadcast_to([100, 0.5], (512, 1024, 2)))
    assert np.isnan(tables.by_module[0][:, :, 2]).all()
    assert tables.high_gain_by_module is None


def test_checksums_and_roles_are_those_of_the_files(options: JungfrauOptions) -> None:
    files = load_tables(options, 1).files
    assert [file.role for file in files] == ["pedestal", "gain"]
    for file in files:
        assert file.sha256 == hashlib.sha256(file.path.read_bytes()).hexdigest()


@pytest.mark.parametrize("dtype", ["<f8", ">f4", "<i4", "<u2"])
def test_any_number_type_is_taken(options: JungfrauOptions, dtype: str) -> None:
    write(options.pedestal_file, gains=pedestals().astype(dtype), pixel_mask=mask())  # type: ignore[arg-type]
    assert load_tables(options, 1).cells[ONLY_CELL].by_module[0][0, 0, 0, 0] == 100


@pytest.mark.parametrize(
    ("role", "datasets", "message"),
    [
        ("pedestal", {"pixel_mask": mask()}, r"key '/gains': there is no such dataset; the file holds /pixel_mask"),
        ("pedestal", {"gains": pedestals()}, r"key '/pixel_mask': there is no such dataset; the file holds /gains"),
        ("pedestal", {}, "the file holds nothing"),
        (
            "pedestal",
            {"gains": pedestals()[:2], "pixel_mask": mask()},
            r"the shape is \(2, 512, 1024\); expected \(3, 512, 1024\) or \(4, 512, 1024\)",
        ),
        ("pedestal", {"gains": pedestals()[:, :, :-6], "pixel_mask": mask()}, r"the shape is \(3, 512, 1018\)"),
        ("pedestal", {"gains": pedestals(), "pixel_mask": mask()[:256]}, r"the shape is \(256, 1024\)"),
        ("pedestal", {"gains": pedestals(), "pixel_mask": mask() * 0.5}, r"key '/pixel_mask': the type float64"),
        ("pedestal", {"gains": pedestals().astype("S4"), "pixel_mask": mask()}, r"key '/gains': the type \|S4"),
        (
            "pedestal",
            {"gains": changed(pedestals(), (1, 7, 9), np.nan), "pixel_mask": mask()},
            r"key '/gains': 1 good pixels .* plane 1, the first at row 7, column 9 \(got nan\); mask these pixels",
        ),
        ("gain", {"gains": gains(4)[:3]}, r"gain.h5: key '/gains': the shape is \(3, 512, 1024\); expected \(4,"),
        ("gain", {"gains": changed(gains(), (0, 1, 2), 0)}, r"plane 0, the first at row 1, column 2 \(got 0.0\)"),
        ("gain", {"gains": changed(gains(), (2, 1, 2), np.inf)}, r"plane 2, the first at row 1, column 2 \(got inf\)"),
        ("gain", {"gains": gains().astype(complex)}, r"the type complex128 cannot be used for these numbers"),
        ("gain", {"gains/inner": 1}, r"key '/gains': there is no such dataset"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_with_file_dataset_and_what_was_found(
    options: JungfrauOptions, role: str, datasets: dict[str, Any], message: str
) -> None:
    path = getattr(options, f"{role}_file")
    write(path, **datasets)
    with pytest.raises(CalibrationError, match=message) as error:
        load_tables(options, 1).cells[ONLY_CELL]
    assert error.value.file == str(path)


def test_bad_pixels_may_hold_anything(options: JungfrauOptions, tmp_path: Path) -> None:
    bad = mask()
    bad[7, 9] = 1
    assert options.pedestal_file is not None
    write(options.pedestal_file, gains=changed(pedestals(), (1, 7, 9), np.inf), pixel_mask=bad)
    assert np.isnan(load_tables(options, 1).cells[ONLY_CELL].by_module[0][7, 9]).all(axis=-1).all()


def test_a_missing_file_is_named_and_the_working_directory_mentioned() -> None:
    options = JungfrauOptions(conversion="kev", pedestal_file=Path("no.h5"), gain_file=Path("no.h5"))
    with pytest.raises(CalibrationError, match=r"no.h5: the pedestal file cannot be read: No such file.*working dir"):
        load_tables(options, 1).cells[ONLY_CELL]


@pytest.mark.parametrize("content", [b"", b"no HDF5 at all" * 100, b"\x89HDF\r\n\x1a\n" + b"\0" * 100])
def test_a_file_that_is_not_hdf5_is_refused(options: JungfrauOptions, content: bytes) -> None:
    assert options.gain_file is not None
    options.gain_file.write_bytes(content)
    with pytest.raises(CalibrationError, match="gain file is not a readable HDF5 file"):
        load_tables(options, 1).cells[ONLY_CELL]


def test_a_mask_in_nxmx_bits_is_taken_as_it_is_and_any_other_means_dead(tmp_path: Path) -> None:
    values = mask().astype(np.uint32)
    values[1, 1] = 16
    path = write(tmp_path / "mask.h5", pixel_mask=values)
    options = JungfrauOptions(mask_file=path)
    assert load_mask(options, 1)[0, 1, 1] == 2
    with h5py.File(path, "a") as file:
        file["pixel_mask"].attrs["convention"] = "NXmx"
    assert load_mask(options, 1)[0, 1, 1] == 16


def test_a_mask_file_goes_before_the_pedestal_file(options: JungfrauOptions, tmp_path: Path) -> None:
    values = mask()
    values[3, 4] = 1
    with_mask = options.model_copy(update={"mask_file": write(tmp_path / "mask.h5", pixel_mask=values)})
    loaded = load_tables(with_mask, 1)
    tables = loaded.cells[ONLY_CELL]
    assert np.isnan(tables.by_module[0]).any(axis=(2, 3)).sum() == 512 * 1024  # code 2
    assert np.argwhere(np.isnan(tables.by_module[0][:, :, 0, 0])).tolist() == [[3, 4]]
    assert [file.role for file in loaded.files] == ["pedestal", "gain", "mask"]


class TestReload:
    @pytest.fixture
    def converter(self, options: JungfrauOptions) -> CorrectingConverter:
        from std_daq.imaging.config import DetectorConfig

        config = DetectorConfig(
            detector_name="JF",
            detector_type="jungfrau",
            n_modules=1,
            bit_depth=16,
            image_pixel_height=512,
            image_pixel_width=1024,
            start_udp_port=50000,
        )
        return CorrectingConverter(config, options, (Placement(0, 0, 1, 1, 512, 1024),), np.float32(np.nan))

    def energy(self, converter: Any) -> float:
        image = np.empty((512, 1024), np.float32)
        frame = np.full((512, 1024), 200, np.uint16).view(np.uint8).reshape(-1)
        converter.convert(0, frame, np.full(2, 2**64 - 1, np.uint64), 0, image)
        return float(image[0, 0])

    def test_files_that_did_not_change_are_not_read_again(self, converter: CorrectingConverter) -> None:
        assert converter.reload() is None

    def test_a_replaced_file_gives_a_new_converter_and_leaves_the_old_one(
        self, converter: CorrectingConverter, options: JungfrauOptions, tmp_path: Path
    ) -> None:
        assert options.pedestal_file is not None
        write(tmp_path / "new.h5", gains=pedestals() - 20, pixel_mask=mask()).rename(options.pedestal_file)
        fresh = converter.reload()
        assert fresh is not None
        assert self.energy(fresh) == 60
        assert self.energy(converter) == 50
        assert fresh.calibration != converter.calibration
        assert fresh.reload() is None

    def test_a_file_written_in_place_is_noticed_by_its_time(
        self, converter: CorrectingConverter, options: JungfrauOptions
    ) -> None:
        assert options.gain_file is not None
        with h5py.File(options.gain_file, "r+") as file:
            file["gains"][:] = 4
        stat = options.gain_file.stat()
        os.utime(options.gain_file, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
        fresh = converter.reload()
        assert fresh is not None
        assert self.energy(fresh) == 25

    def test_a_changed_file_that_does_not_fit_leaves_the_converter_usable(
        self, converter: CorrectingConverter, options: JungfrauOptions
    ) -> None:
        assert options.gain_file is not None
        write(options.gain_file, gains=gains()[:1])
        with pytest.raises(CalibrationError, match="the shape is"):
            converter.reload()
        options.gain_file.unlink()
        with pytest.raises(CalibrationError, match="gain file cannot be read"):
            converter.reload()
        assert self.energy(converter) == 50
