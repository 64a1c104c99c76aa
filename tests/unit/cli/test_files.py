import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from std_daq.cli.__main__ import main
from std_daq.imaging.files.colours import colour
from std_daq.imaging.files.picture import read_pixels
from std_daq.recording.requests import Verdict
from std_daq.tpc.merged.description import MergedFileDescription
from std_daq.tpc.merged.event_log import LoggedEvent
from std_daq.tpc.merged.layout import Layout
from std_daq.tpc.merged.writer import MergedFileWriter
from std_test_kit.image_files import SHAPE, image_of, report_of, write_image_file
from std_test_kit.merged_files import WRITERS, make_traces
from std_test_kit.tpc_exporters import frame_of

IDS = range(1, 4)


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    return write_image_file(tmp_path / "sound.h5", IDS, report_of(n_requested=3, n_written=3))


@pytest.fixture
def unfinished(tmp_path: Path) -> Path:
    return write_image_file(tmp_path / "unfinished.h5", IDS)


def test_sound_file_is_reported(sound: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(sound)]) == 0
    output = capsys.readouterr().out
    assert "sound.h5: sound" in output
    assert "3 of 3" in output
    assert "1 to 3" in output


def test_incomplete_run_that_says_so_is_sound(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = report_of(Verdict.INCOMPLETE, reason="2 lost", n_requested=5, n_lost=2, lost_image_ids=(7, 8))
    file = write_image_file(tmp_path / "a.h5", IDS, report)
    assert main(["validate", str(file)]) == 0
    assert "incomplete: 2 lost" in capsys.readouterr().out


def test_problem_is_told_with_the_remedy(unfinished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(unfinished)]) == 1
    output = capsys.readouterr().out
    assert "NOT sound" in output
    assert f"std-daq recover {unfinished}" in output


def test_report_is_one_document(tmp_path: Path, sound: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "--json", str(sound)]) == 0
    assert json.loads(capsys.readouterr().out)["is_valid"] is True
    (tmp_path / "text.h5").write_text("no HDF5")
    assert main(["validate", "--json", str(tmp_path / "text.h5")]) == 1
    assert json.loads(capsys.readouterr().out)["problems"]
    assert main(["validate", "--json", str(tmp_path / "no.h5")]) == 2
    assert "there is no such file" in json.loads(capsys.readouterr().out)["error"]


def test_files_of_servers_are_joined_and_the_exit_code_is_that_of_the_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [
        str(write_image_file(tmp_path / f"s{server}.h5", range(1 + server, 4, 2), report_of(n_requested=2 - server)))
        for server in range(2)
    ]
    assert main(["join", str(tmp_path / "run.h5"), *files]) == 0
    assert "3 of 3 written" in capsys.readouterr().out
    assert main(["validate", str(tmp_path / "run.h5")]) == 0
    assert main(["join", str(tmp_path / "run.h5"), *files]) == 2
    capsys.readouterr()
    assert main(["join", "--json", str(tmp_path / "part.h5"), files[0]]) == 3
    assert json.loads(capsys.readouterr().out)["verdict"] == "incomplete"


def test_recovered_file_is_sound_and_its_run_is_told_as_failed(
    unfinished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["recover", str(unfinished)]) == 0
    assert "3 images" in capsys.readouterr().out
    assert main(["validate", str(unfinished)]) == Verdict.FAILED.exit_code
    assert "sound, but its run FAILED" in capsys.readouterr().out


def test_healthy_file_is_left_alone(sound: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sound.read_bytes()
    assert main(["recover", "--json", str(sound)]) == 0
    assert sound.read_bytes() == before
    assert json.loads(capsys.readouterr().out) == [{"file": str(sound), "n_images": 3, "actions": []}]


def test_nothing_to_recover_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recover", str(tmp_path / "no.h5")]) == 2
    assert "no such file" in capsys.readouterr().err
    (tmp_path / "text.h5").write_text("no HDF5")
    assert main(["recover", str(tmp_path / "text.h5")]) == 1


def test_picture_has_the_size_of_an_image(sound: Path, tmp_path: Path) -> None:
    png = tmp_path / "a.png"
    assert main(["validate", str(sound), "--picture", str(png)]) == 0
    with Image.open(png) as picture:
        assert picture.size == SHAPE[::-1]
        assert np.asarray(picture).std() > 0


def test_picture_of_an_image_that_is_not_there_is_an_error(
    sound: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["validate", str(sound), "--picture", str(tmp_path / "a.png"), "--image", "3"]) == 2
    assert "argument --image: the file has 3 images, counted from 0 (got '3')" in capsys.readouterr().err


def test_pixels_are_those_of_one_image_the_mean_or_the_sum(sound: Path) -> None:
    images = np.stack([image_of(image_id) for image_id in IDS])
    np.testing.assert_array_equal(read_pixels(sound, 1), images[1])
    np.testing.assert_allclose(read_pixels(sound, "mean"), images.mean(axis=0))
    np.testing.assert_allclose(read_pixels(sound, "sum"), images.sum(axis=0))


def test_pixels_without_value_or_under_the_mask_are_grey(tmp_path: Path) -> None:
    mask = np.zeros(SHAPE, np.uint32)
    mask[0] = 1
    file = write_image_file(tmp_path / "a.h5", IDS, pixel_mask=mask)
    assert np.isnan(read_pixels(file)[0]).all()
    pixels = np.array([[np.nan, 0.0, 1.0]])
    assert colour(pixels)[0, 0].tolist() == [110, 110, 110]
    assert colour(np.full((2, 2), np.nan)).shape == (2, 2, 3)
    assert len(np.unique(colour(np.full((2, 2), 5.0)).reshape(-1, 3), axis=0)) == 1


def test_brighter_is_higher() -> None:
    shown = colour(np.linspace(0, 1, 100)[None]).astype(int).sum(axis=-1)[0]
    assert shown[-1] > shown[50] > shown[0]


def test_few_photons_are_seen_in_the_dark() -> None:
    pixels = np.zeros((100, 100))
    pixels[3, 4] = 1
    shown = colour(pixels).astype(int).sum(axis=-1)
    assert shown[3, 4] > shown[0, 0]


def test_file_of_another_kind_is_not_for_recovery(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "detector.json"
    other.write_text("{}")
    assert main(["validate", str(other)]) == 1
    output = capsys.readouterr().out
    assert "cannot be read" in output
    assert "std-daq recover" not in output


def test_merged_file_is_reported_with_its_layout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    WRITERS["2.0"](tmp_path / "run.h5")
    assert main(["validate", str(tmp_path / "run.h5")]) == 0
    output = capsys.readouterr().out
    assert "run.h5: sound" in output
    assert "layout    2.0, libattpc_merger:2.0" in output
    assert "events    3, traces of 3 read" in output


@pytest.mark.parametrize("n_bytes", [100, 3000])
def test_a_merged_file_of_another_program_that_is_cut_off_is_not_sound(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], n_bytes: int
) -> None:
    path = tmp_path / "run.h5"
    WRITERS["1.0"](path)
    path.write_bytes(path.read_bytes()[:n_bytes])
    assert main(["validate", "--json", str(path)]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["n_events"] == 0
    assert document["problems"][0]["text"].startswith("cannot be read")


def test_a_merged_file_of_a_killed_writer_is_recovered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "run.h5"
    writer = MergedFileWriter.create(path, MergedFileDescription(layout=Layout.V1_0))
    writer.append(LoggedEvent(5, 0, 1, 2, is_complete=True, places=(), missing_boards=b""), [make_traces(0, 4)])
    writer.flush()
    writer.abandon()
    assert main(["validate", str(path)]) == 1
    assert f"std-daq recover {path}" in capsys.readouterr().out
    assert main(["recover", "--json", str(path)]) == 0
    (document,) = json.loads(capsys.readouterr().out)
    assert document["n_events"] == 1
    assert main(["validate", str(path)]) == Verdict.FAILED.exit_code
    assert main(["recover", str(path)]) == 0
    assert "1 events, healthy, not changed" in capsys.readouterr().out


def test_graw_file_is_reported_with_its_boards_and_what_is_damaged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "CoBo0_AsAd1.graw"
    frames = [frame_of(event_id, (0, asad)) for event_id in (7, 8) for asad in (0, 1)]
    path.write_bytes(b"".join(frames))
    assert main(["validate", "--json", str(path)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["n_frames"], document["boards"]) == (4, {"[0, 0]": 2, "[0, 1]": 2})
    assert (document["first_id"], document["last_id"], document["frame_types"]) == (7, 8, {"1": 4})
    path.write_bytes(b"".join(frames)[:-10])
    assert main(["validate", str(path)]) == 1
    assert "the last frame is cut off" in capsys.readouterr().out
    path.write_bytes(b"")
    assert main(["validate", str(path)]) == 0
    assert "the file is empty" in capsys.readouterr().out
    path.write_bytes(b"no frame at all" * 100)
    assert main(["validate", str(path)]) == 1
    assert "no GRAW file" in capsys.readouterr().out


def test_a_picture_of_events_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    WRITERS["1.0"](tmp_path / "run.h5")
    assert main(["validate", str(tmp_path / "run.h5"), "--picture", str(tmp_path / "a.png")]) == 2
    assert "has no images" in capsys.readouterr().err
