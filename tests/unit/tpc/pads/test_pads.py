import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from std_daq.errors import ConfigError
from std_daq.tpc.electronics import FPN_CHANNELS
from std_daq.tpc.pads.attpc_plane import attpc_positions, attpc_scales
from std_daq.tpc.pads.channel_map import (
    DETECTORS,
    ChannelMap,
    MappedChannel,
    read_channel_map,
    write_channel_map,
)
from std_daq.tpc.pads.config import PadsConfig
from std_daq.tpc.pads.load import load_pads
from std_daq.tpc.pads.plane import PadPlane
from std_test_kit.field_analysis import PYTHON, needs_field_analysis

HEAD = "cobo,asad,aget,aget channel,pad\n"
SILICON = "cobo,asad,aget,aget channel,det keyword,det channel\n"

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(text: str) -> Path:
        file = tmp_path / "table.csv"
        file.write_bytes(text.encode())
        return file

    return write_file


def test_plane_of_the_attpc_follows_its_rule() -> None:
    positions, scales = attpc_positions(), attpc_scales()
    assert positions.shape == (10_240, 2)
    assert ((scales == 1.0).sum(), (scales == 0.5).sum()) == (4096, 6144)
    rho = np.sort(np.hypot(*positions.T))
    assert (rho < 20.0).sum() == 122
    np.testing.assert_allclose(rho[121:123], (19.748, 20.200), atol=5e-4)
    np.testing.assert_array_equal(positions[5120:], positions[:5120] * (1, -1))
    assert len(np.unique(np.round(positions, 6), axis=0)) == 10_240
    assert positions[0] == pytest.approx((-55 * 9.816478 / 2, 8.501320 / 2), abs=1e-5)


def test_divided_triangles_are_mirrored_where_they_point_down() -> None:
    positions = attpc_positions()
    middle = 24 + 31 * 4  # row 0: 24 big triangles, then 31 divided ones, then that in the middle, which points down
    x, y, side, height = 0.0, 8.501320 / 2, 9.816478, 8.501320
    expected = [(-side / 4, height / 4), (0, height / 4), (0, -height / 4), (side / 4, height / 4)]
    np.testing.assert_allclose(positions[middle : middle + 4], np.add(expected, (x, y)), atol=1e-5)
    expected = [(-side / 4, -height / 4), (0, -height / 4), (0, height / 4), (side / 4, -height / 4)]
    np.testing.assert_allclose(positions[middle + 4 : middle + 8], np.add(expected, (side / 2, y)), atol=1e-5)


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_tables_have_any_line_ends(write: Write, ends: str) -> None:
    file = write(f"offset{ends}" + ends.join(("0.5", "-1.9", "1.5")) + ends)
    plane = load_pads(PadsConfig(time_correction=file))
    np.testing.assert_array_equal(plane.time_corrections, (0.5, -1.9, 1.5))


def test_map_of_five_columns_gives_pads_and_boards(write: Write) -> None:
    plane = load_pads(PadsConfig(electronics=write(HEAD + "7,2,1,10,9908\n7,2,1,9,3\n0,1,0,0,12\n")))
    assert plane.boards == ((0, 1), (7, 2))
    channels = plane.board_channels((7, 2))
    assert (channels.numbers[68 + 10], channels.numbers[68 + 9], (channels.numbers >= 0).sum()) == (9908, 3, 2)
    assert (channels.ranks[68 + 9], plane.board_channels((0, 1)).ranks[0], channels.ranks[68 + 10]) == (0, 1, 2)
    assert (plane.board_channels((3, 3)).numbers == -1).all()
    assert plane.n_ranks == 3


def test_map_of_six_columns_names_the_detector_of_each_channel(write: Write) -> None:
    text = SILICON + "10,0,0,1,si_upstream_front,5\n10,0,0,2,si_downstream_back,4\n10,0,0,3,pad,5\n"
    channels = load_pads(PadsConfig(electronics=write(text))).board_channels((10, 0))
    assert [DETECTORS[code] for code in channels.detectors[1:4]] == ["si_upstream_front", "si_downstream_back", "pad"]
    assert channels.numbers[1:4].tolist() == [5, 4, 5]
    assert channels.ranks[1:4].tolist() == [2, 0, 1]  # numbers ascend, and pads come before strips of the same number


def test_without_a_map_channels_are_numbered_by_hardware() -> None:
    plane = PadPlane()
    numbers = plane.board_channels((7, 2)).numbers
    assert numbers[68 + 10] == ((7 * 4 + 2) * 4 + 1) * 68 + 10
    assert (numbers.reshape(4, 68)[:, FPN_CHANNELS] == -1).all()
    assert (numbers >= 0).sum() == 4 * 64
    assert plane.boards == ()
    assert plane.board_channels((29, 3)).numbers.max() < 2**15
    assert (plane.board_channels((30, 0)).numbers == -1).all()  # the number would not fit an int16
    assert (plane.board_channels((0, 4)).numbers == -1).all()


def test_unconnected_and_fpn_channels_have_no_pad(write: Write) -> None:
    plane = load_pads(PadsConfig(electronics=write(HEAD + "0,0,0,11,5\n0,0,0,12,-1\n0,0,0,13,6\n")))
    assert plane.board_channels((0, 0)).numbers.tolist().count(-1) == 271
    assert plane.n_ranks == 1


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (HEAD, "has no line after the header"),
        ("0,0,0,0,1\n0,0,0,1,2\n", "line 1 holds numbers, but a header belongs there"),
        (HEAD + "0,0,0,0\n", "line 2: has 4 values instead of 5 or 6"),
        (HEAD + "0,0,0,0,1\n0,0,0,1,pad,2\n", "line 3: has 6 values instead of 5"),
        (HEAD + "0,0,0,0,1\n\n0,0,0,1,2\n", "line 3: has 1 values instead of 5"),
        (HEAD + "0,0,0,x,1\n", "line 2: channel 'x' is no whole number"),
        (HEAD + "0,0,4,0,1\n", "line 2: aget 4 is not within 0 and 3"),
        (HEAD + "0,0,0,68,1\n", "line 2: channel 68 is not within 0 and 67"),
        (HEAD + "256,0,0,0,1\n", "line 2: cobo 256 is not within 0 and 255"),
        (HEAD + "0,0,0,0,40000\n", "line 2: number 40000 is not within -1 and 32767"),
        (HEAD + "0,0,0,0,1\n0,0,0,0,2\n", "line 3: line 2 is about the same channel"),
        (SILICON + "0,0,0,0,silicon,1\n", "line 2: 'silicon' is no detector"),
    ],
)
def test_mistakes_in_a_map_are_told_with_their_line(write: Write, text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=r"table\.csv") as caught:
        read_channel_map(write(text))
    assert problem in str(caught.value)
    assert caught.value.key == "pads.electronics"


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"geometry": "x,y\n1\n"}, "line 2: is not x,y in mm"),
        ({"geometry": "x,y\n1,nan\n"}, "line 2: is not x,y in mm"),
        ({"scale": "s\n1,2\n"}, "line 2: is not one number"),
        ({"geometry": "attpc", "scale": "s\n1\n"}, "has 1 pads, but pads.geometry has 10240"),
        ({"scale": "s\n1\n1\n", "time_correction": "t\n1\n"}, "has 1 pads, but another table has 2"),
        ({"geometry": "x,y\n1,2\n", "electronics": HEAD + "0,0,0,0,1\n"}, "names pad 1, but the geometry has pads 0"),
        ({"beam_radius_mm": 5.0}, "beam pads need positions"),
    ],
)
def test_tables_that_do_not_fit_are_refused(tmp_path: Path, keys: dict[str, str | float], problem: str) -> None:
    for name, text in keys.items():
        if isinstance(text, str) and text != "attpc":
            (tmp_path / name).write_text(text)
            keys = keys | {name: str(tmp_path / name)}
    with pytest.raises(ConfigError) as caught:
        load_pads(PadsConfig.model_validate(keys))
    assert problem in str(caught.value)


def test_pads_without_tables_have_size_one_and_no_correction(write: Write) -> None:
    plane = load_pads(PadsConfig(geometry=write("x,y\n1,0\n30,40\n"), beam_radius_mm=20.0))
    assert plane.scale_of_pads.tolist() == [1.0, 1.0]
    assert plane.time_correction_of_pads.tolist() == [0.0, 0.0]
    assert plane.is_beam_pad.tolist() == [True, False]


def spyral(folder: Path, *, has_map: bool) -> None:
    """Install something that looks as attpc_spyral does; importing it fails."""
    info = folder / "attpc_spyral-0.18.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: attpc_spyral\nVersion: 0.18.0\n")
    data = folder / "spyral" / "data"
    data.mkdir(parents=True)
    (folder / "spyral" / "__init__.py").write_text("raise RuntimeError('nobody may import this')")
    (data / "padxy.csv").write_text("x,y\n" + "".join(f"{x},0.0\n" for x in (5, 30)))
    (data / "pad_scale.csv").write_text("scale\n1.0\n0.5\n")
    (data / "pad_time_correction.csv").write_bytes(b"offset\r0.25\r-0.5\r")
    if has_map:
        (data / "pad_electronics.csv").write_text(HEAD + "0,0,0,0,1\n0,0,0,1,0\n")


def test_files_of_an_installed_spyral_are_read_without_importing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spyral(tmp_path, has_map=True)
    monkeypatch.syspath_prepend(tmp_path)
    plane = load_pads("attpc_spyral")
    assert plane.boards == ((0, 0),)
    assert plane.scale_of_pads.tolist() == [1.0, 0.5]
    assert plane.time_correction_of_pads.tolist() == [0.25, -0.5]
    assert plane.is_beam_pad.tolist() == [True, False]


def test_spyral_without_a_channel_map_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"pads.*not installed.*pip install 'attpc_spyral<=0\.18\.0'"):
        load_pads("attpc_spyral")
    spyral(tmp_path, has_map=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=r"has no file pad_electronics\.csv.*versions up to 0\.18\.0 have it"):
        load_pads("attpc_spyral")


@pytest.mark.parametrize("detector", [0, 3])
def test_written_map_is_read_as_it_was(tmp_path: Path, detector: int) -> None:
    made = ChannelMap.of([MappedChannel(1, 2, 3, 4, 0, 7), MappedChannel(0, 1, 2, 3, detector, 5)])
    write_channel_map(tmp_path / "map.csv", made)
    assert read_channel_map(tmp_path / "map.csv") == made


@needs_field_analysis
def test_plane_by_the_rule_is_that_of_the_fields_analysis(monkeypatch: pytest.MonkeyPatch) -> None:
    """The files of a real installation are read; nothing of it is imported."""
    (packages,) = PYTHON.parents[1].glob("lib/python*/site-packages")
    monkeypatch.syspath_prepend(packages)
    plane = load_pads("attpc_spyral")
    assert (len(plane.boards), plane.n_ranks, plane.n_pads, plane.is_beam_pad.sum()) == (40, 10_240, 10_240, 122)
    assert {(2, 3), (8, 3)}.isdisjoint(plane.boards)
    assert plane.board_channels((7, 2)).numbers[68 + 10] == 9908
    np.testing.assert_allclose(plane.positions, attpc_positions(), atol=3e-4)
    np.testing.assert_array_equal(plane.scales, attpc_scales())
    assert (plane.time_correction_of_pads.min(), plane.time_correction_of_pads.max()) == pytest.approx(
        (-1.9, 1.5), abs=0.1
    )
    assert "spyral" not in sys.modules
