"""``std-sim display``: pictures, pages and recordings of the detector, of hits, and of photons on their way."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from std_daq.cli.sim import main
from std_daq.photons.sources import isotropic
from std_test_kit.free_ports import free_tcp_port
from std_test_kit.gdml import tank, write_gdml
from std_test_kit.rerun_recordings import read_recording, viewer_process
from std_test_kit.wait import wait_until


@pytest.fixture
def geometry(tmp_path: Path) -> Path:
    detector, output = write_gdml(tmp_path, tank(n_pmts=3)), tmp_path / "geometry.json"
    assert main(["convert", str(detector), "--output", str(output), "--segments", "16"]) == 0
    return output


@pytest.fixture
def hits(tmp_path: Path) -> Path:
    path = tmp_path / "x.hits.npz"
    np.savez(
        path,
        channel=np.array([0, 2, 2], np.uint32),
        event_id=np.array([0, 0, 1], np.uint32),
        time=np.array([3, 4, 5], np.float32),
    )
    return path


def _colours(path: Path) -> set[tuple[int, int, int]]:
    with Image.open(path) as picture:
        return {(red, green, blue) for red, green, blue in np.asarray(picture.convert("RGB")).reshape(-1, 3).tolist()}


@pytest.mark.long
def test_a_detector_is_drawn_beside_its_file(geometry: Path) -> None:
    assert main(["display", str(geometry)]) == 0
    assert {(31, 119, 180), (214, 39, 40)} <= _colours(geometry.with_suffix(".png"))  # surfaces; what detects light


def test_hits_colour_their_channels(geometry: Path, hits: Path, tmp_path: Path) -> None:
    pictures = [tmp_path / name for name in ("none.png", "all.png", "one.png")]
    main(["display", str(geometry), "--output", str(pictures[0])])
    main(["display", str(geometry), "--hits", str(hits), "--output", str(pictures[1])])
    main(["display", str(geometry), "--hits", str(hits), "--event", "1", "--output", str(pictures[2])])
    assert len({path.read_bytes() for path in pictures}) == 3
    assert any(red > 240 and green > 220 and blue < 60 for red, green, blue in _colours(pictures[1]))  # the most hits


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--event", "1"], "give them with --hits"),
        (["--hits", "{folder}/nothing.npz"], "nothing.npz"),
        (["--hits", "{folder}/geometry.json"], "no file of hits"),
        (["--hits", "{folder}/foreign.npz"], "key 'channel': they are of another detector (got 9)"),
        (["--output", "{folder}/x.jpg"], "end it in .png, .html or .rrd"),
        (["--output", "{folder}/nowhere/x.rrd"], "there is no folder"),
        (["--photons", "{folder}/x.npz"], "their ways are drawn in three dimensions"),
        (["--trace", "1"], "give them with --photons"),
    ],
)
def test_wrong_hits_are_refused(
    geometry: Path, capsys: pytest.CaptureFixture[str], options: list[str], problem: str
) -> None:
    np.savez(geometry.parent / "foreign.npz", channel=np.array([9]), event_id=np.array([0]), time=np.array([0]))
    assert main(["display", str(geometry), *(one.format(folder=geometry.parent) for one in options)]) == 2
    assert problem in capsys.readouterr().err


def test_a_page_is_written(geometry: Path, hits: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert main(["display", str(geometry), "--hits", str(hits), "--output", str(page)]) == 0
    assert '"channels":[0,2]' in page.read_text()


def test_a_recording_has_detector_hits_and_the_ways_of_photons(geometry: Path, hits: Path, tmp_path: Path) -> None:
    photons, path = tmp_path / "photons.npz", tmp_path / "display.rrd"
    np.savez(photons, photons=isotropic(10, wavelength=400, seed=1), event_id=np.ones(10, np.uint32))
    options = ["--hits", str(hits), "--photons", str(photons), "--event", "1", "--trace", "2", "5"]
    assert main(["display", str(geometry), *options, "--output", str(path)]) == 0
    rows = read_recording(path).rows
    assert {"/hits/charge", "/hits/time", "/photons/2", "/photons/5", "/arriving/channels", "/hit_times"} <= set(rows)
    assert [row.times["event"] for row in rows["/hits/charge"]] == [1]


def test_a_recording_of_many_events_has_no_time_within_one(geometry: Path, hits: Path, tmp_path: Path) -> None:
    path = tmp_path / "display.rrd"
    assert main(["display", str(geometry), "--hits", str(hits), "--output", str(path)]) == 0
    rows = read_recording(path).rows
    assert [row.times["event"] for row in rows["/hits/charge"]] == [0, 1]
    assert not any(entity.startswith("/arriving") for entity in rows)


def test_a_viewer_is_drawn_in(geometry: Path, hits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved = tmp_path / "saved.rrd"
    with viewer_process(saved) as (address, _):
        assert main(["display", str(geometry), "--hits", str(hits), "--viewer", str(address)]) == 0
        wait_until(lambda: "/hit_times" in read_recording(saved).rows, 10)
    assert main(["display", str(geometry), "--viewer", str(address)]) == 1
    assert f"no viewer listens at {address}" in capsys.readouterr().err


@pytest.mark.parametrize("address", ["localhost", "localhost:0"])
def test_a_wrong_address_is_refused(geometry: Path, capsys: pytest.CaptureFixture[str], address: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["display", str(geometry), "--viewer", address])
    assert "for example localhost:9876" in capsys.readouterr().err


def test_the_viewer_for_browsers_is_served_until_ctrl_c(geometry: Path) -> None:
    command = [sys.executable, "-m", "std_daq.cli.sim", "display", str(geometry), "--browser", str(free_tcp_port())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("open http://127.0.0.1:")
        process.send_signal(2)
        assert process.wait(5) == 0
