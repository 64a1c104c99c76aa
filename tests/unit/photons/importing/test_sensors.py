"""Which placements are light sensors, and what their channels are."""

from pathlib import Path

import numpy as np
import pytest

from std_daq.photons.importing.convert import read_detector
from std_daq.photons.importing.errors import DetectorImportError
from std_daq.photons.importing.report import ImportReport
from std_daq.photons.importing.sensors import Sensor
from std_test_kit.gdml import gdml_text, placed, tank, volume, write_gdml

SOLIDS = '<box name="w" x="900" y="900" z="900"/><box name="b" x="10" y="10" z="10"/><box name="s" x="1" y="1" z="1"/>'
SENSITIVE = '<auxiliary auxtype="SensDet" auxvalue="PMT"/>'


def _sensors(folder: Path, text: str, pattern: str | None = None, *tables: Path) -> list[Sensor]:
    path = write_gdml(folder, text)
    return read_detector(path, tables=list(tables), pattern=pattern, report=ImportReport())[1]


def _text(numbers: list[int], inner_number: int = 0) -> str:
    """Return a world with modules, a sensor in each."""
    modules = "".join(placed(f"m{i}", "module", at=f'x="{20 * i}"', copy_number=n) for i, n in enumerate(numbers))
    structure = (
        volume("sensor", "glass", "s", SENSITIVE)
        + volume("module", "water", "b", placed("chip", "sensor", at='z="2"', copy_number=inner_number) + SENSITIVE)
        + volume("world", "air", "w", modules)
    )
    return gdml_text(solids=SOLIDS, structure=structure)


def test_the_innermost_sensitive_volumes_are_the_sensors(tmp_path: Path) -> None:
    sensors = _sensors(tmp_path, _text([0, 0, 0]))
    assert [one.name for one in sensors] == ["chip"] * 3
    assert [one.position.tolist() for one in sensors] == [[0, 0, 2], [20, 0, 2], [40, 0, 2]]


def test_channels_are_copy_numbers(tmp_path: Path) -> None:
    sensors = _sensors(tmp_path, tank(n_pmts=4))
    assert [one.channel for one in sensors] == [0, 1, 2, 3]
    assert [one.name for one in sensors] == ["pmt3", "pmt2", "pmt1", "pmt0"]
    np.testing.assert_allclose(sensors[3].transform.rotation @ [0, 0, 1], [-1, 0, 0], atol=1e-12)


def test_copy_numbers_of_the_mothers_count_where_the_own_ones_are_equal(tmp_path: Path) -> None:
    sensors = _sensors(tmp_path, _text([2, 0, 1]))
    assert [one.position[0] for one in sensors] == [20, 40, 0]


@pytest.mark.parametrize("numbers", [[1, 2, 3], [0, 1, 1], [0, 2, 3], [5, 5, 5]])
def test_copy_numbers_that_are_no_channels_give_way_to_the_order_of_the_file(
    tmp_path: Path, numbers: list[int]
) -> None:
    sensors = _sensors(tmp_path, _text(numbers))
    assert [one.position[0] for one in sensors] == [0, 20, 40]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("^module$", ["m0", "m1"]),
        ("^m[01]$", ["m0", "m1"]),
        ("chip", ["chip", "chip"]),
        ("sensor|module", ["m0", "m1"]),
        ("m1", ["m1"]),
    ],
)
def test_sensors_are_named_by_volume_or_placement(tmp_path: Path, pattern: str, names: list[str]) -> None:
    """What stands within a sensor is a part of it."""
    assert [one.name for one in _sensors(tmp_path, _text([0, 1]), pattern)] == names


@pytest.mark.parametrize("pattern", ["nothing", "(", "^chip_$"])
def test_a_pattern_that_finds_nothing_is_refused(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(DetectorImportError, match="--sensors"):
        _sensors(tmp_path, _text([0, 1]), pattern)


def test_names_have_no_pointers(tmp_path: Path) -> None:
    text = _text([0, 1]).replace('"chip"', '"chip0x55d0c0"').replace('"sensor"', '"sensor0x55d0c1"')
    assert [one.name for one in _sensors(tmp_path, text, "^chip$")] == ["chip", "chip"]
    assert [one.name for one in _sensors(tmp_path, text, "^sensor$")] == ["chip", "chip"]


def test_a_detector_without_sensors_has_no_channels(tmp_path: Path) -> None:
    structure = volume("world", "air", "w")
    assert _sensors(tmp_path, gdml_text(solids=SOLIDS, structure=structure)) == []
