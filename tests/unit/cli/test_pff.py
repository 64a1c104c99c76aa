"""std-daq pff."""

import json
from pathlib import Path

import h5py
import pytest

from std_daq.cli.__main__ import main
from std_daq.telescope.pff import PRODUCTS
from std_test_kit.telescope_frames import make_header, make_pixels, write_pff

PH256 = PRODUCTS["ph256"]


def test_info_tells_frames_tail_and_range(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (path,) = write_pff(tmp_path, PH256, 4, module_id=9)
    with path.open("ab") as file:
        file.write(b"{ cut")
    assert main(["pff", "info", "--json", str(path)]) == 0
    (document,) = json.loads(capsys.readouterr().out)
    assert document.items() >= {
        "file": str(path), "product": "ph256", "module_id": 9, "n_frames": 4, "n_damaged": 0, "n_zero": 0,
        "header_bytes": 123, "frame_bytes": 636, "tail_bytes": 5, "first_received": "2025-01-02T03:04:05.000300000Z",
    }.items()  # fmt: skip
    assert main(["pff", "info", str(path)]) == 0
    assert "  n frames         4\n" in capsys.readouterr().out


def test_info_of_an_empty_file_tells_that_it_has_no_frames(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (path,) = write_pff(tmp_path, PH256, 0)
    assert main(["pff", "info", "--json", str(path)]) == 0
    assert json.loads(capsys.readouterr().out)[0]["n_frames"] == 0
    assert main(["pff", "info", str(path)]) == 0
    assert "first received   unknown" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("wanted", "numbers"), [([], [0, 1, 2, 3]), (["--frames", "1:3"], [1, 2]), (["--frames=-1:"], [3])]
)
def test_cat_prints_a_line_for_each_frame(
    wanted: list[str], numbers: list[int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (path,) = write_pff(tmp_path, PH256, 4)
    assert main(["pff", "cat", str(path), "--pixels", *wanted]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["frame_number"] for line in lines] == numbers
    for line in lines:
        assert line["header"] == make_header(PH256, line["frame_number"])
        assert line["pixels"] == make_pixels(PH256, line["frame_number"]).tolist()
        assert line["sum"] == make_pixels(PH256, line["frame_number"]).sum(dtype="i8")


def test_copy_to_hdf5_never_replaces_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (path,) = write_pff(tmp_path, PH256, 4)
    out = tmp_path / "x.h5"
    assert main(["pff", "to-hdf5", str(path), str(out)]) == 0
    assert capsys.readouterr().out == f"{out}: 4 frames\n"
    with h5py.File(out) as file:
        assert file["entry/data/data"].shape == (4, 16, 16)
    assert main(["pff", "to-hdf5", str(path), str(out)]) == 2
    assert "the file exists" in capsys.readouterr().err


@pytest.mark.parametrize("action", ["info", "cat"])
def test_file_that_is_no_pff_file_is_an_error(action: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.dp_img8.pff"
    path.write_bytes(b"nothing")
    assert main(["pff", action, str(path)]) == 1
    assert "is no PFF file of img8: a frame begins with '{', not with b'n'" in capsys.readouterr().err


@pytest.mark.parametrize("action", ["cat", "to-hdf5"])
def test_file_without_a_whole_frame_ends_with_1_and_makes_nothing(
    action: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (path,) = write_pff(tmp_path, PH256, 0)
    out = tmp_path / "x.h5"
    assert main(["pff", action, str(path), *([str(out)] if action == "to-hdf5" else [])]) == 1
    told = capsys.readouterr()
    assert f"{path}: no whole frame" in told.err
    assert told.out == ""
    assert not out.exists()


@pytest.mark.parametrize("frames", ["4:", "2:2", "10:20"])
def test_frames_that_are_not_in_the_file_are_a_wrong_call(
    frames: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (path,) = write_pff(tmp_path, PH256, 4)
    assert main(["pff", "cat", str(path), "--frames", frames]) == 2
    assert "none of these is in the file, whose frames are 0 to 3" in capsys.readouterr().err
