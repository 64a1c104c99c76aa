"""Each storage cell has pedestals and gains of its own; a frame without them is filled, and never called good."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from std_daq.errors import CalibrationError
from std_daq.imaging.config import parse_config
from std_daq.imaging.detectors.jungfrau import Jungfrau
from std_daq.imaging.detectors.jungfrau.converter import CorrectingConverter
from std_daq.imaging.detectors.jungfrau.options import JungfrauOptions
from std_daq.imaging.detectors.jungfrau.packets import STORAGE_CELL
from std_daq.imaging.detectors.jungfrau.tables import load_tables
from std_daq.imaging.detectors.module_map import Placement

CONFIG = parse_config(
    {
        "detector_name": "jf",
        "detector_type": "jungfrau",
        "n_modules": 1,
        "bit_depth": 16,
        "image_pixel_height": 512,
        "image_pixel_width": 1024,
        "start_udp_port": 50000,
    }
)
EVERYTHING = np.full(2, 2**64 - 1, np.uint64)
FILL = np.float32(-1)


def write(path: Path, planes: NDArray[Any], cells: list[int] | None = None) -> Path:
    """Write a file whose pixels all have the value of their cell and plane; ``planes`` is ([n_cells,] n_planes)."""
    with h5py.File(path, "w") as file:
        file["gains"] = np.broadcast_to(planes[..., None, None], (*planes.shape, 512, 1024)).astype(np.float32)
        file["pixel_mask"] = np.zeros((512, 1024), np.uint32)
        if cells is not None:
            file["storage_cells"] = np.array(cells, np.uint8)
    return path


def options(tmp_path: Path, pedestals: Any, gains: Any = None, cells: list[int] | None = None, **more: Any) -> Any:
    gains = np.full(4, 2) if gains is None else np.asarray(gains)
    return JungfrauOptions(
        conversion="kev",
        pedestal_file=write(tmp_path / "pedestal.h5", np.asarray(pedestals), cells),
        gain_file=write(tmp_path / "gain.h5", gains, more.pop("gain_cells", None)),
        **more,
    )


def converter(options: JungfrauOptions) -> CorrectingConverter:
    return CorrectingConverter(CONFIG, options, (Placement(0, 0, 1, 1, 512, 1024),), FILL)


def convert(converter: CorrectingConverter, cell: int, *, adc: int = 1000, daq_rec: int = 0) -> float | None:
    """Return the energy that all pixels of a frame get; None if the frame is filled and said to be not calibrated."""
    image = np.zeros((512, 1024), np.float32)
    frame = np.full((512, 1024), adc, "<u2").view(np.uint8).reshape(-1)
    is_calibrated = converter.convert(0, frame, EVERYTHING, cell << 8 | daq_rec, image)
    assert image.min() == image.max()
    assert is_calibrated == (image[0, 0] != FILL)
    return float(image[0, 0]) if is_calibrated else None


def test_each_cell_is_corrected_with_its_own_pedestals(tmp_path: Path) -> None:
    pedestals = [[100 + 10 * cell, 200, 300] for cell in range(16)]
    of_cells = converter(options(tmp_path, pedestals))
    assert [convert(of_cells, cell) for cell in range(16)] == [(900 - 10 * cell) / 2 for cell in range(16)]
    assert convert(of_cells, 3, adc=0xC000 + 500) == 100


def test_frame_of_a_cell_without_tables_is_not_calibrated(tmp_path: Path) -> None:
    of_two = converter(options(tmp_path, [[100, 0, 0], [200, 0, 0]], cells=[15, 4]))
    assert [convert(of_two, cell) for cell in (15, 4, 0, 5, 14)] == [450, 400, None, None, None]


def test_file_of_one_cell_that_names_it_is_of_this_cell_only(tmp_path: Path) -> None:
    of_one = converter(options(tmp_path, [100, 0, 0], cells=[7]))
    assert [convert(of_one, cell) for cell in (0, 7, 15)] == [None, 450, None]


def test_file_that_names_no_cell_is_of_the_configured_one(tmp_path: Path) -> None:
    of_one = converter(options(tmp_path, [100, 0, 0], storage_cell=3))
    assert [convert(of_one, cell) for cell in (0, 3, 15)] == [None, 450, None]


def test_file_that_names_no_cell_is_of_the_first_one_that_comes_also_after_it_was_replaced(tmp_path: Path) -> None:
    of_one = converter(options(tmp_path, [100, 0, 0]))
    assert [convert(of_one, cell) for cell in (15, 0, 15)] == [450, None, 450]
    (tmp_path / "new.h5").write_bytes(write(tmp_path / "other.h5", np.array([200, 0, 0])).read_bytes())
    (tmp_path / "new.h5").replace(tmp_path / "pedestal.h5")
    replacement = of_one.reload()
    assert replacement is not None
    assert [convert(replacement, cell) for cell in (0, 15)] == [None, 400]


def test_high_gain_is_not_calibrated_without_its_plane(tmp_path: Path) -> None:
    without = converter(options(tmp_path, [[100, 0, 0]] * 2))
    assert (convert(without, 1), convert(without, 1, daq_rec=1)) == (450, None)
    having = converter(options(tmp_path, [[100, 0, 0, 50], [100, 0, 0, 80]]))
    assert (convert(having, 0, daq_rec=1), convert(having, 1, daq_rec=1)) == (475, 460)


def test_gains_may_be_of_each_cell_and_are_found_by_their_numbers(tmp_path: Path) -> None:
    pedestals, gains = [[0, 0, 0]] * 3, [[1, 1, 1, 1], [4, 1, 1, 1]]
    of_cells = converter(options(tmp_path, pedestals, gains, cells=[0, 1, 2], gain_cells=[2, 1]))
    assert [convert(of_cells, cell) for cell in range(3)] == [None, 250, 1000]


def test_pedestals_and_gains_of_different_cells_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="different storage cells"):
        load_tables(options(tmp_path, [[0, 0, 0]], [[1, 1, 1, 1]], cells=[0], gain_cells=[1]), 1)


@pytest.mark.parametrize("cells", [[0, 0], [0, 16], [-2, 1]])
def test_numbers_that_are_no_cells_are_refused(tmp_path: Path, cells: list[int]) -> None:
    made = options(tmp_path, [[0, 0, 0], [0, 0, 0]])
    with h5py.File(tmp_path / "pedestal.h5", "a") as file:
        file["storage_cells"] = np.array(cells, np.int64)
    with pytest.raises(CalibrationError, match="not the numbers of storage cells"):
        load_tables(made, 1)


def test_bad_value_is_named_with_the_place_of_its_cell(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match=r"plane 1 of the storage cell at index 1.*--add-to"):
        load_tables(options(tmp_path, [[0, 0, 0], [0, np.nan, 0]]), 1)


def test_cell_in_the_recording_word_is_the_one_of_the_packet_header() -> None:
    detector = Jungfrau(CONFIG)
    layout = detector.packet_layout(0)
    assert layout.storage_cell is not None
    pixels = np.zeros((512, 1024), np.uint16)
    for daq_rec in (0, 0x100, 0xF01, 0x3A00):
        sent = detector.packets(0, 1, pixels, pulse_id=1, timestamp=1, daq_rec=daq_rec)
        packet = bytes(sent.packets[0])
        assert layout.storage_cell.read(packet) == STORAGE_CELL.of(daq_rec) == daq_rec >> 8 & 15
