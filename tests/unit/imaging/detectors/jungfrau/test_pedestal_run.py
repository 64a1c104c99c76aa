"""Pedestal runs of a whole detector: storage cells apart, what is missing named, earlier frames kept."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from std_daq.errors import CalibrationError, ConfigError
from std_daq.imaging.config import parse_config
from std_daq.imaging.detectors.jungfrau import Jungfrau
from std_daq.imaging.detectors.jungfrau.pedestal import STAGE_NAMES
from std_daq.imaging.detectors.jungfrau.pedestal_run import JungfrauPedestalRun

CODES = (0, 1, 3)
STAGES = STAGE_NAMES[:3]


def pedestal_run(n_modules: int = 1, n_cells: int = 1, n_skipped: int = 0, **more: Any) -> JungfrauPedestalRun:
    positions = {module: (0, 512 * module, 1023, 512 * module + 511) for module in range(n_modules)}
    config = {
        "detector_name": "jf",
        "detector_type": "jungfrau",
        "n_modules": n_modules,
        "bit_depth": 16,
        "image_pixel_height": 512 * n_modules,
        "image_pixel_width": 1024,
        "start_udp_port": 50000,
        "module_positions": positions,
    }
    parsed = parse_config(config | more)
    return JungfrauPedestalRun(parsed, Jungfrau(parsed).rows, n_skipped, n_cells)


def add(run: JungfrauPedestalRun, stage: int, *values: int, cell: int = 0, module: int = 0) -> None:
    for value in values:
        frame = np.full((512, 1024), CODES[stage] << 14 | value, "<u2").view(np.uint8).reshape(-1)
        run.add(module, frame, cell << 8)


def write(run: JungfrauPedestalRun, path: Path, *, overwrite: bool = False) -> dict[str, Any]:
    """Write the file; return the first pixel of each dataset, and the datasets that are no pictures."""
    run.write(path, attributes={}, overwrite=overwrite)
    with h5py.File(path) as file:
        pixels = {name: file[name][..., 0, 0].tolist() for name in ("gains", "rms", "n_samples", "pixel_mask")}
        return pixels | {name: file[name][:].tolist() for name in ("n_frames", "storage_cells")}


def test_one_cell_makes_the_file_that_other_programs_read_and_names_its_cell(tmp_path: Path) -> None:
    run = pedestal_run()
    for stage in range(3):
        add(run, stage, 1000 + stage, 1002 + stage, cell=15)
    written = write(run, tmp_path / "p.h5")
    assert written["gains"] == [1001, 1002, 1003]
    assert written["rms"] == [1, 1, 1]
    assert written["n_frames"] == [[2, 2, 2]]
    assert written["storage_cells"] == [15]


def test_cells_are_kept_apart_and_settle_apart(tmp_path: Path) -> None:
    run = pedestal_run(n_cells=4, n_skipped=1)
    for stage in range(3):
        for _ in range(3):
            for cell in (0, 1, 2, 3):
                add(run, stage, 1000 + 100 * stage + 10 * cell, cell=cell)
    assert run.n_frames == dict.fromkeys(STAGES, 2) | {"high gain 0": 0}
    written = write(run, tmp_path / "p.h5")
    assert written["gains"] == [[1000 + 10 * cell, 1100 + 10 * cell, 1200 + 10 * cell] for cell in range(4)]
    assert written["n_frames"] == [[[2, 2, 2]]] * 4
    assert written["storage_cells"] == [0, 1, 2, 3]


def test_pedestal_mode_is_recognised_in_each_cell(tmp_path: Path) -> None:
    run = pedestal_run(n_cells=16, n_skipped=3)
    for stage in (0, 0, 0, 0, 1, 0, 0, 0, 2, 0):
        for cell in range(16):
            add(run, stage, 1000 + cell, cell=cell)
    assert run.n_frames == {"gain 0": 5, "gain 1": 1, "gain 2": 1, "high gain 0": 0}


def test_nothing_counts_before_all_cells_have_come() -> None:
    run = pedestal_run(n_cells=2)
    for stage in range(3):
        add(run, stage, 1000)
    assert set(run.n_frames.values()) == {0}
    assert run.missing(STAGES, 1) == ["1 of 2 storage cells: no image"]


def test_cell_from_before_the_detector_was_set_up_is_not_waited_for(tmp_path: Path) -> None:
    run = pedestal_run()
    add(run, 0, 999, cell=3)
    for stage in range(3):
        add(run, stage, *[1000] * 40)
    assert run.n_frames["gain 2"] == 40
    assert write(run, tmp_path / "p.h5")["storage_cells"] == [0]


def test_what_is_missing_is_named_by_gain_module_and_cell() -> None:
    run = pedestal_run(n_modules=2)
    for module in range(2):
        for cell in (0, 5):
            add(run, 0, 1000, 1000, cell=cell, module=module)
    add(run, 1, 1000, cell=5, module=1)
    assert run.missing(("gain 0",), 2) == []
    assert run.missing(("gain 1",), 2) == [
        "gain 1 of module 0, storage cell 0: 0 of 2 images",
        "gain 1 of module 1, storage cell 0: 0 of 2 images",
        "gain 1 of module 0, storage cell 5: 0 of 2 images",
        "gain 1 of module 1, storage cell 5: 1 of 2 images",
    ]


def test_what_was_not_taken_is_not_a_number_and_can_be_added(tmp_path: Path) -> None:
    path = tmp_path / "p.h5"
    first = pedestal_run(n_modules=2, deactivate=[0])
    add(first, 0, 1000, 1003, module=1)
    add(first, 2, 1200, module=1)
    with_gap = write(first, path)
    assert np.isnan(with_gap["gains"][1]) == np.False_, "rows of the module that is off"
    with h5py.File(path) as file:
        assert np.isnan(file["gains"][1, 512:]).all()
        assert (file["gains"][0, 512:] == 1001.5).all()
    second = pedestal_run(n_modules=2, deactivate=[0])
    second.add_file(path)
    assert second.missing(STAGES, 2) == ["gain 1 of module 1: 0 of 2 images", "gain 2 of module 1: 1 of 2 images"]
    add(second, 1, 1100, 1100, module=1)
    add(second, 2, 1204, module=1)
    add(second, 0, 1004, module=1)
    assert second.missing(STAGES, 2) == []
    written = write(second, path, overwrite=True)
    assert written["n_frames"] == [[0, 0, 0], [3, 2, 2]]
    with h5py.File(path) as file:
        np.testing.assert_allclose(file["gains"][:, 700, 9], [(1000 + 1003 + 1004) / 3, 1100, 1202], rtol=1e-7)
        np.testing.assert_allclose(file["rms"][:, 700, 9], [np.std([1000, 1003, 1004]), 0, 2], rtol=1e-6, atol=1e-3)


def test_cells_of_an_earlier_run_stay_and_new_ones_join(tmp_path: Path) -> None:
    path = tmp_path / "p.h5"
    first = pedestal_run()
    for stage in range(3):
        add(first, stage, 1000, cell=3)
    write(first, path)
    second = pedestal_run()
    second.add_file(path)
    for stage in range(3):
        add(second, stage, 1500, cell=1)
    written = write(second, path, overwrite=True)
    assert written["storage_cells"] == [1, 3]
    assert written["gains"] == [[1500] * 3, [1000] * 3]
    third = pedestal_run()
    third.add_file(path)
    assert write(third, path, overwrite=True) == written


def test_file_of_another_kind_cannot_be_added_to(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "p.h5", "w") as file:
        file["gains"] = np.zeros((3, 512, 1024), np.float32)
    with pytest.raises(CalibrationError, match=r"storage_cells.*no such dataset"):
        pedestal_run().add_file(tmp_path / "p.h5")


def test_run_without_a_frame_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no dark images"):
        pedestal_run().write(tmp_path / "p.h5", attributes={}, overwrite=False)
    assert not (tmp_path / "p.h5").exists()
