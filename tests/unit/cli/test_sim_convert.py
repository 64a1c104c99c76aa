"""``std-sim convert``: options, exit codes, and what it prints."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from std_daq.cli.sim import main
from std_daq.photons.geometry.load import read_geometry
from std_test_kit.gdml import bordered, gdml_text, placed, tank, volume, write_gdml

Run = Callable[..., int]
SOLIDS = """<box name="w" x="200" y="200" z="200"/><box name="b" x="10" y="10" z="10"/>
<opticalsurface name="wrap" model="LUT" finish="30" type="dielectric_LUT"/>"""


@pytest.fixture
def run() -> Run:
    def call(*arguments: str | Path) -> int:
        return main(["convert", *(str(one) for one in arguments)])

    return call


@pytest.fixture
def detector(tmp_path: Path) -> Path:
    return write_gdml(tmp_path, tank(n_pmts=3))


def _wrapped(content: str = "") -> str:
    structure = (
        volume("block", "glass", "b", content)
        + volume("world", "water", "w", placed("block", "block"))
        + '<skinsurface name="k" surfaceproperty="wrap"><volumeref ref="block"/></skinsurface>'
    )
    return gdml_text(solids=SOLIDS, structure=structure)


def test_a_detector_is_written_and_counted(
    run: Run, detector: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "geometry.json"
    assert run(detector, "--output", output) == 0
    geometry = read_geometry(output)
    assert len(geometry.arrays[0].positions) == 3
    assert capsys.readouterr().out == f"{output}: 3 channels, 19 boundaries, 4 materials\n"


def test_the_same_detector_makes_the_same_file(run: Run, detector: Path, tmp_path: Path) -> None:
    for name in ("a.json", "b.json"):
        run(detector, "--output", tmp_path / name)
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"a.json", "b.json", "detector.gdml"}


def test_channels_are_listed_without_conversion(run: Run, detector: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(detector, "--list") == 0
    assert capsys.readouterr().out == (
        "0 pmt2 -400.000000 -692.820323 100.000000 0\n"
        "1 pmt1 -400.000000 692.820323 100.000000 1\n"
        "2 pmt0 800.000000 0.000000 100.000000 2\n"
    )


def test_the_table_tells_each_kind_of_boundary(
    run: Run, detector: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(detector, "--output", tmp_path / "geometry.json", "--table")
    lines = capsys.readouterr().out.splitlines()
    assert "      1 sphere: air | glass" in lines
    assert "      3 revolved of part 'bulb': air | glass, cathode" in lines


def test_what_cannot_be_represented_is_named(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, output = write_gdml(tmp_path, _wrapped()), tmp_path / "geometry.json"
    assert run(path, "--output", output) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "not representable: optical surface 'wrap': type dielectric_LUT; it has no surface"
    assert output.exists()


def test_strict_refuses_what_cannot_be_represented(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, output = write_gdml(tmp_path, _wrapped()), tmp_path / "geometry.json"
    assert run(path, "--output", output, "--strict") == 2
    assert "not representable: optical surface 'wrap'" in capsys.readouterr().out
    assert not output.exists()


def test_a_sensor_that_detects_nothing_is_refused_or_made_ideal(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    structure = volume("block", "glass", "b") + volume("world", "water", "w", placed("block", "block"))
    path, output = write_gdml(tmp_path, gdml_text(solids=SOLIDS, structure=structure)), tmp_path / "geometry.json"
    assert run(path, "--output", output, "--sensors", "block") == 2
    assert "std-sim convert: channel 0 ('block') has no boundary that detects light" in capsys.readouterr().err
    assert run(path, "--output", output, "--sensors", "block", "--ideal-sensors") == 0
    (part,) = json.loads(output.read_text())["parts"].values()
    assert [(one["shape"], one["surface"]) for one in part] == [("box", "ideal sensor")]


def test_a_sensor_between_opaque_media_is_refused_even_if_ideal(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    structure = (
        volume("chip", "steel", "b") + volume("wall", "steel", "w", placed("chip", "chip"))
        + volume("world", "water", "big", placed("wall", "wall"))
    )  # fmt: skip
    text = gdml_text(solids=SOLIDS + '<box name="big" x="300" y="300" z="300"/>', structure=structure)
    path, output = write_gdml(tmp_path, text), tmp_path / "g.json"
    assert run(path, "--output", output, "--sensors", "chip", "--ideal-sensors") == 2
    assert "opaque on both sides" in capsys.readouterr().err
    assert not output.exists()


def test_an_ideal_sensor_that_touches_a_wall_detects_on_all_sides(run: Run, tmp_path: Path) -> None:
    structure = (
        volume("chip", "glass", "b")
        + volume("room", "water", "w", placed("a", "chip", at='x="95"') + placed("b", "chip", at='x="95" y="50"'))
        + volume("world", "air", "big", placed("room", "room")) + bordered("k", "mirror", "a", "room")
    )  # fmt: skip
    text = gdml_text(solids=SOLIDS + '<box name="big" x="300" y="300" z="300"/>', structure=structure)
    output = tmp_path / "geometry.json"
    run(write_gdml(tmp_path, text), "--output", output, "--sensors", "chip", "--ideal-sensors")
    geometry = read_geometry(output)
    assert [len(array.positions) for array in geometry.arrays] == [2]  # equal sensors are one part here as well
    assert {solid.surface for solid in geometry.parts["chip"]} == {"ideal sensor"}
    assert {solid.outer for solid in geometry.parts["chip"]} == {"water", "air"}


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--list", "--output", "g.json"],
        ["--output", "g.json", "--segments", "3"],
        ["--output", "g.json", "--segments", "100000"],
        ["--output", "g.json", "--efficiency-scale", "0"],
        ["--output", "g.json", "--efficiency-scale", "nan"],
        ["--output", "g.json", "--efficiency-scale", "much"],
    ],
)
def test_wrong_options_end_with_2(run: Run, detector: Path, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(detector, *arguments)
    assert ended.value.code == 2


def test_the_output_is_json(run: Run, detector: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(detector, "--output", tmp_path / "geometry.yaml") == 2
    assert "end its name in .json" in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, "no xml", "<gdml/>"])
def test_a_file_that_is_no_detector_ends_with_2_and_its_name(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None
) -> None:
    path = tmp_path / "nothing.gdml"
    if content is not None:
        path.write_text(content)
    assert run(path, "--list") == 2
    assert "nothing.gdml" in capsys.readouterr().err
