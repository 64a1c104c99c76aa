"""``std-sim display``: a picture of the detector, and of hits."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from std_daq.cli.sim import main
from std_test_kit.gdml import tank, write_gdml


@pytest.fixture
def geometry(tmp_path: Path) -> Path:
    detector, output = write_gdml(tmp_path, tank(n_pmts=3)), tmp_path / "geometry.json"
    assert main(["convert", str(detector), "--output", str(output), "--segments", "16"]) == 0
    return output


@pytest.fixture
def hits(tmp_path: Path) -> Path:
    path = tmp_path / "x.hits.npz"
    np.savez(path, channel=np.array([0, 2, 2], np.uint32), event_id=np.array([0, 0, 1], np.uint32))
    return path


def _colours(path: Path) -> set[tuple[int, int, int]]:
    with Image.open(path) as picture:
        return {(red, green, blue) for red, green, blue in np.asarray(picture.convert("RGB")).reshape(-1, 3).tolist()}


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
        (["--hits", "{folder}/foreign.npz"], "of another detector: channel 9"),
    ],
)
def test_wrong_hits_are_refused(
    geometry: Path, capsys: pytest.CaptureFixture[str], options: list[str], problem: str
) -> None:
    np.savez(geometry.parent / "foreign.npz", channel=np.array([9]), event_id=np.array([0]))
    assert main(["display", str(geometry), *(one.format(folder=geometry.parent) for one in options)]) == 2
    assert problem in capsys.readouterr().err
