"""The master of a run with several data files shows all images in the detector's order."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from std_daq.errors import FileFormatError
from std_daq.imaging.files import layout, master_file
from std_daq.imaging.files.master_file import write_master
from std_daq.recording.requests import Verdict
from std_test_kit.image_files import image_of, missing_packets_of, report_of, write_image_file

RUNS = ["one run", "one run"]


def write_run(folder: Path, shares: list[list[int]], **changes: object) -> Path:
    """Write a data file for each share of image ids, and the master over them."""
    files = [
        write_image_file(layout.data_file_path(folder / "run.h5", number), ids, report_of(), **changes)
        for number, ids in enumerate(shares, start=1)
    ]
    write_master(folder / "run.h5", files, report_of(Verdict.INCOMPLETE, reason="why", n_lost=1, lost_image_ids=(99,)))
    return folder / "run.h5"


@pytest.mark.parametrize(
    "shares",
    [
        [[0, 1, 2], [3, 4, 5], [6]],
        [[0, 2, 4, 6], [1, 3, 5, 7]],
        [[0, 3, 6], [1, 4, 7], [2, 5, 8]],
        [[0, 1, 5, 9, 13, 14], [2, 3, 4, 6, 7], [8, 10]],
        [[5, 6], [0, 1]],
        [[0, 1], []],
        [[], [1]],
    ],
)
@pytest.mark.parametrize("compression", ["none", "bslz4"])
def test_images_of_all_files_stand_in_the_order_in_which_they_were_taken(
    tmp_path: Path, shares: list[list[int]], compression: str
) -> None:
    ids = sorted(image_id for share in shares for image_id in share)
    with h5py.File(write_run(tmp_path, shares, compression=compression)) as file:
        assert file[layout.IMAGE_ID][:].tolist() == ids
        assert file[layout.MISSING_PACKETS][:].tolist() == [missing_packets_of(i) for i in ids]
        assert np.array_equal(file[layout.PIXELS][:], [image_of(i) for i in ids])
        assert np.array_equal(file["entry/std_daq/detectors/JF-test/data"][:], file[layout.PIXELS][:])
        assert file[layout.N_IMAGES][()] == len(ids)
        assert file[layout.VERDICT].asstr()[()] == "incomplete"
        assert file[layout.LOST_IMAGE_IDS][:].tolist() == [99]
        assert file[layout.PIXELS].is_virtual


@given(owners=st.lists(st.integers(0, 2), min_size=1, max_size=60))
@settings(max_examples=200, deadline=None)
def test_stretches_cover_each_row_once_and_in_order(owners: list[int]) -> None:
    for owner in range(3):
        rows = np.flatnonzero(np.array(owners) == owner)
        covered = []
        for first, end, step in master_file._stretches(rows):
            expected = rows[first] + step * np.arange(end - first)
            assert np.array_equal(rows[first:end], expected)
            covered.extend(range(first, end))
        assert covered == list(range(len(rows)))


def test_a_run_over_files_in_turns_takes_one_stretch_a_file() -> None:
    assert list(master_file._stretches(np.arange(1, 1000, 4))) == [(0, 250, 4)]


def test_after_a_restart_of_the_detector_the_times_tell_the_order(tmp_path: Path) -> None:
    second = 10**9
    tables = [
        {layout.FRAME_INDEX: np.array([100, 101]), layout.TIMESTAMP_NS: np.array([1, 2]) * second},
        {layout.FRAME_INDEX: np.array([0, 1]), layout.TIMESTAMP_NS: np.array([13, 14]) * second},
    ]
    places = master_file._places_of_rows(tables, RUNS)
    assert [rows.tolist() for rows in places] == [[0, 1], [2, 3]]


def test_images_that_are_scattered_too_much_stand_file_after_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(master_file, "_MAX_PARTS", 2)
    tables = [
        {layout.FRAME_INDEX: np.array(index), layout.TIMESTAMP_NS: np.array(index)}
        for index in ([0, 3, 4, 9], [1, 2, 5, 6, 7, 8])
    ]
    assert [rows.tolist() for rows in master_file._places_of_rows(tables, RUNS)] == [[0, 1, 2, 3], [4, 5, 6, 7, 8, 9]]


def test_the_master_can_be_moved_with_its_data_files(tmp_path: Path) -> None:
    write_run(tmp_path, [[0, 1], [2, 3]])
    moved = tmp_path / "moved"
    moved.mkdir()
    for path in tmp_path.glob("*.h5"):
        path.rename(moved / path.name)
    with h5py.File(moved / "run.h5") as file:
        assert np.array_equal(file[layout.PIXELS][3], image_of(3))


def test_an_existing_file_is_never_overwritten_by_a_master(tmp_path: Path) -> None:
    (tmp_path / "run.h5").write_bytes(b"mine")
    with pytest.raises(FileExistsError, match="never overwritten"):
        write_run(tmp_path, [[0]])
    assert (tmp_path / "run.h5").read_bytes() == b"mine"


def test_a_name_that_is_taken_meanwhile_is_left_to_who_took_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(master_file, "_check_pixels", lambda *_: (tmp_path / "run.h5").write_bytes(b"taken"))
    with pytest.raises(FileExistsError):
        write_run(tmp_path, [[0]])
    assert (tmp_path / "run.h5").read_bytes() == b"taken"
    assert not list(tmp_path.glob(".*"))


def test_data_files_of_different_images_have_no_common_master(tmp_path: Path) -> None:
    files = [
        write_image_file(tmp_path / "a.h5", [0], report_of()),
        write_image_file(tmp_path / "b.h5", [1], report_of(), dtype="i4"),
    ]
    with pytest.raises(FileFormatError, match="another shape, type or layout"):
        write_master(tmp_path / "run.h5", files, report_of())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.h5", "b.h5"]


def test_a_master_that_shows_other_pixels_is_not_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = master_file._write_columns
    monkeypatch.setattr(
        master_file, "_write_columns", lambda master, tables, places: real(master, tables, places[::-1])
    )
    with pytest.raises(FileFormatError, match="does not show"):
        write_run(tmp_path, [[0, 1], [2, 3]])
    assert not (tmp_path / "run.h5").exists()


def test_data_files_of_another_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "else").mkdir()
    source = write_image_file(tmp_path / "else" / "a.h5", [0], report_of())
    with pytest.raises(FileFormatError, match="in the folder of their master"):
        write_master(tmp_path / "run.h5", [source], report_of())


def test_a_master_without_data_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="needs data files"):
        write_master(tmp_path / "run.h5", [], report_of())


def test_data_files_are_named_after_their_master_and_found_in_order(tmp_path: Path) -> None:
    output = tmp_path / "run.h5"
    names = [layout.data_file_path(output, number) for number in (1, 2, 999_999, 1_000_000)]
    assert names[0].name == "run_data_000001.h5"
    for path in reversed(names):
        path.touch()
    for other in ("run_data_1.h5", "run_data_000001.txt", "run_data_x00001.h5", "other_data_000001.h5"):
        (tmp_path / other).touch()
    assert layout.find_data_files(output) == names
