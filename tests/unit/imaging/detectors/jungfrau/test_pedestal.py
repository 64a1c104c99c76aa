from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from std_daq.errors import ConfigError
from std_daq.imaging.detectors.jungfrau.kernels import accumulate, count_codes
from std_daq.imaging.detectors.jungfrau.options import JungfrauOptions
from std_daq.imaging.detectors.jungfrau.pedestal import PedestalAccumulator, PedestalResult
from std_daq.imaging.detectors.jungfrau.pedestal_file import write_pedestal_file
from std_daq.imaging.detectors.jungfrau.simulation import JungfrauResponse
from std_daq.imaging.detectors.jungfrau.tables import load_mask, load_tables

N_FRAMES = 12
CODES = (0, 1, 3)


def dark_frames(seed: int = 0) -> NDArray[np.uint16]:
    """Frames of the stages 0, 1, 2 of one module, (3, n_frames, 512, 1024)."""
    rng = np.random.default_rng(seed)
    means = np.array([4000, 14500, 14800])[:, None, None, None] + rng.integers(-100, 100, (512, 1024))
    adc = means + rng.normal(0, 3, (3, N_FRAMES, 512, 1024))
    return np.rint(adc).astype(np.uint16) | (np.array(CODES, np.uint16) << 14)[:, None, None, None]


@pytest.fixture(scope="module")
def frames() -> NDArray[np.uint16]:
    frames = dark_frames()
    frames[0, :, 5, 6] = 123  # stuck
    frames[1, 3, 7, 8] &= 0x3FFF  # wrong gain once in twelve
    frames[2, :, 9, 10] = 0  # never in gain 2
    frames[0, :, 11, 12] = np.arange(N_FRAMES) * 60 + 3600  # noisy
    frames[1, :, 13, 14] -= 6000  # far off, with its noise
    return frames


def accumulated(frames: NDArray[np.uint16], n_skipped: int = 0) -> PedestalAccumulator:
    accumulator = PedestalAccumulator(1, n_skipped)
    for stage_frames in frames:
        for frame in stage_frames:
            accumulator.add(0, frame)
    return accumulator


@pytest.fixture(scope="module")
def result(frames: NDArray[np.uint16]) -> PedestalResult:
    return accumulated(frames).result()


def test_mean_and_rms_are_those_of_numpy_in_double_precision(
    frames: NDArray[np.uint16], result: PedestalResult
) -> None:
    adc = (frames & 0x3FFF).astype(np.float64)
    adc[(frames >> 14) != np.array(CODES)[:, None, None, None]] = np.nan
    is_seen = result.n_samples > 0
    with np.errstate(all="ignore"):
        mean, rms = np.nanmean(adc[:, :, 14:], axis=1), np.nanstd(adc[:, :, 14:], axis=1)
    np.testing.assert_array_equal(result.mean[:, 14:], mean.astype(np.float32))
    np.testing.assert_allclose(result.rms[:, 14:], rms, rtol=1e-6)
    assert (~is_seen).sum() == 1


def test_bad_pixels_are_found_and_no_others(result: PedestalResult) -> None:
    bad = {tuple(map(int, at)): int(result.pixel_mask[tuple(at)]) for at in np.argwhere(result.pixel_mask)}
    assert bad == {(5, 6): 2, (7, 8): 2, (9, 10): 2, (11, 12): 16, (13, 14): 2}


def test_samples_are_counted_for_each_pixel(result: PedestalResult) -> None:
    assert result.n_frames.tolist() == [[N_FRAMES] * 3]
    assert result.n_samples[1, 7, 8] == N_FRAMES - 1
    assert result.n_samples[2, 9, 10] == 0
    assert result.n_samples[0, 0, 0] == N_FRAMES


def test_the_first_frames_after_each_change_of_stage_are_left_out(frames: NDArray[np.uint16]) -> None:
    accumulator = PedestalAccumulator(1, n_skipped=2)
    order = [0, 0, 0, 1, 1, 1, 1, 0, 0, 0]
    stages = [accumulator.add(0, frames[stage, i]) for i, stage in enumerate(order)]
    assert stages == [None, None, 0, None, None, 1, 1, None, None, 0]
    assert accumulator.n_frames.tolist() == [[2, 2, 0, 0]]


def stages_taken(frames: NDArray[np.uint16], order: str, n_skipped: int) -> list[int]:
    """Add frames in an order of stages, such as "0001000"; return how many of each stage are counted."""
    accumulator = PedestalAccumulator(1, n_skipped)
    for i, stage in enumerate(order):
        accumulator.add(0, frames[int(stage), i % N_FRAMES])
    counted = accumulator.n_frames[0, :3].tolist()
    result = accumulator.result()
    assert result.n_frames[0].tolist() == counted
    assert result.n_samples[:, 0, 0].tolist() == counted, "what is counted is in the sums"
    return counted


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("0001000100010001", [9, 4, 0]),  # each single frame is good, and gain 0 settles once
        ("0001000100020002", [9, 2, 2]),
        ("000100010001", [6, 3, 0]),  # also the last one, which has no neighbour
        ("0001", [0, 0, 0]),  # but one change alone may be a change of the setting
        ("00011111", [0, 2, 0]),
        ("000010000111111", [5, 4, 0]),  # pedestal mode, then a change of the setting
        ("0000122222", [1, 0, 2]),
        ("0101010101", [2, 5, 0]),
        ("0000110000", [2, 0, 0]),  # two frames in a row are not pedestal mode
    ],
)
def test_single_frames_that_the_detector_forces_are_taken(
    frames: NDArray[np.uint16], order: str, expected: list[int]
) -> None:
    assert stages_taken(frames, order, n_skipped=3) == expected


def test_pedestal_mode_of_a_real_run_is_taken_whole(frames: NDArray[np.uint16]) -> None:
    order = ("0" * 19 + "1") * 12 + ("0" * 19 + "2") * 12
    assert stages_taken(frames, order, n_skipped=10) == [19 * 24 - 10, 12, 12]


def test_high_gain_makes_a_fourth_plane(frames: NDArray[np.uint16]) -> None:
    accumulator = accumulated(frames[:, :3])
    assert accumulator.add(0, frames[0, 0] - 100, daq_rec=1) == 3
    assert accumulator.add(0, frames[1, 0], daq_rec=1) == 1
    result = accumulator.result()
    assert result.mean.shape == (4, 512, 1024)
    np.testing.assert_array_equal(result.mean[3], (frames[0, 0] - 100) & 0x3FFF)


def test_a_module_without_frames_of_a_stage_has_no_numbers_there(frames: NDArray[np.uint16]) -> None:
    accumulator = PedestalAccumulator(3)
    for stage in range(3):
        accumulator.add(1, frames[stage, 0])
    accumulator.add(2, frames[0, 0])
    result = accumulator.result()
    assert result.n_frames.tolist() == [[0, 0, 0], [1, 1, 1], [1, 0, 0]]
    for module in range(3):
        rows = slice(512 * module, 512 * module + 512)
        is_known = [not np.isnan(result.mean[stage, rows]).all() for stage in range(3)]
        assert is_known == [n > 0 for n in result.n_frames[module]]
    assert not result.pixel_mask[:512].any(), "what was not measured is not judged"


def test_sums_are_exact_up_to_the_largest_number_of_frames() -> None:
    accumulator = PedestalAccumulator(1)
    n = np.uint64(262_000)
    half = n // np.uint64(2)
    # Half of the frames at 16383 and half at 16382: mean 16382.5, rms 0.5.
    accumulator._n_samples[0, :3] = n
    accumulator._sums[0, :3] = half * np.uint64(16383 + 16382)
    accumulator._squares[0, :3] = half * np.uint64(16383**2 + 16382**2)
    accumulator.n_frames[0, :3] = n
    result = accumulator.result()
    assert (result.mean == 16382.5).all()
    assert (result.rms == 0.5).all()
    assert accumulator.add(0, np.zeros((512, 1024), np.uint16)) is None


@pytest.mark.parametrize("is_compiled", [True, False])
def test_kernels_agree_with_numpy_compiled_and_interpreted(is_compiled: bool) -> None:
    raw = np.random.default_rng(0).integers(0, 2**16, (6, 9)).astype(np.uint16)
    n_pixels = np.full(4, 77, np.int64)
    (count_codes if is_compiled else count_codes.py_func)(raw, n_pixels)
    np.testing.assert_array_equal(n_pixels, np.bincount(raw.reshape(-1) >> 14, minlength=4))

    sums, squares = np.full((6, 9), 5, np.uint64), np.full((6, 9), 6, np.uint64)
    n_samples = np.full((6, 9), 7, np.uint32)
    (accumulate if is_compiled else accumulate.py_func)(raw, 3, sums, squares, n_samples)
    adc = np.where(raw >> 14 == 3, raw & 0x3FFF, 0).astype(np.uint64)
    np.testing.assert_array_equal(sums, 5 + adc)
    np.testing.assert_array_equal(squares, 6 + adc * adc)
    np.testing.assert_array_equal(n_samples, 7 + (raw >> 14 == 3))


class TestFile:
    def test_a_written_file_is_loaded_by_the_converter(self, result: PedestalResult, tmp_path: Path) -> None:
        write_pedestal_file(tmp_path / "p.h5", {0: result}, attributes={"detector_name": "JF"})
        with h5py.File(tmp_path / "gain.h5", "w") as file:
            file["gains"] = np.full((4, 512, 1024), 41.0)
        options = JungfrauOptions(conversion="kev", pedestal_file=tmp_path / "p.h5", gain_file=tmp_path / "gain.h5")
        table = load_tables(options, 1).cells[0].by_module[0]
        np.testing.assert_array_equal(table[14:, :, 3, 0], result.mean[2, 14:])
        np.testing.assert_array_equal(load_mask(options, 1)[0], result.pixel_mask)
        with h5py.File(tmp_path / "p.h5") as file:
            assert file.attrs["detector_name"] == "JF"
            np.testing.assert_array_equal(file["rms"], result.rms)
            np.testing.assert_array_equal(file["n_samples"], result.n_samples)
            assert file["n_frames"][:].tolist() == [[N_FRAMES] * 3]

    def test_an_existing_file_is_kept_unless_asked_otherwise(self, result: PedestalResult, tmp_path: Path) -> None:
        path = tmp_path / "p.h5"
        path.write_text("precious")
        with pytest.raises(ConfigError, match=r"p.h5: the file exists; give another name"):
            write_pedestal_file(path, {0: result})
        assert path.read_text() == "precious"
        write_pedestal_file(path, {0: result}, overwrite=True)
        assert h5py.is_hdf5(path)
        assert [entry.name for entry in tmp_path.iterdir()] == ["p.h5"]

    def test_a_folder_that_is_not_there_is_an_error_with_the_path(self, result: PedestalResult, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"no/p.h5: the pedestal file cannot be written"):
            write_pedestal_file(tmp_path / "no" / "p.h5", {0: result})


def test_pedestals_of_simulated_dark_images_are_those_of_the_simulation() -> None:
    response = JungfrauResponse(JungfrauOptions(), 1, seed=4)
    accumulator = PedestalAccumulator(1)
    for stage in range(3):
        for index in range(8):
            accumulator.add(0, response.dark(stage, index)[0])
    result = accumulator.result()
    for stage in range(3):
        assert abs(result.mean[stage] - response.pedestals[stage][0]).max() < 12
    assert np.count_nonzero(result.pixel_mask & 2) < 10
