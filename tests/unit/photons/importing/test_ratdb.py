"""Tables of RAT: how they are written, and what they tell of PMTs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from std_daq.photons.importing.errors import DetectorImportError
from std_daq.photons.importing.ratdb import pmt_arrays, read_tables
from std_daq.photons.importing.report import ImportReport
from std_test_kit.boundary_rays import channel_positions, table_at
from std_test_kit.gdml import placed
from std_test_kit.rat_export import RAT_TABLES, rat_detector

Convert = Callable[..., dict[str, Any]]


def _tables(folder: Path, *texts: str, report: ImportReport | None = None) -> dict[tuple[str, str], dict[str, Any]]:
    paths = []
    for number, text in enumerate(texts):
        paths.append(folder / f"{number}.ratdb")
        paths[-1].write_text(text)
    return read_tables(paths, report or ImportReport())


def test_text_has_comments_bare_keys_and_commas_at_the_end(tmp_path: Path) -> None:
    tables = _tables(tmp_path, RAT_TABLES)
    assert set(tables) == {("GEO", "pmts"), ("PMTINFO", ""), ("PMT", "r5912")}
    info = tables["PMTINFO", ""]
    assert info["z"] == [-1.5, -1.5, 0.5, 0]
    assert (info["valid"], info["note"]) == (True, "a // b")


def test_a_dump_is_the_same_as_the_text(tmp_path: Path) -> None:
    tables = _tables(tmp_path, RAT_TABLES)
    assert _tables(tmp_path, json.dumps(list(tables.values()))) == tables


def test_planes_are_merged_field_by_field(tmp_path: Path) -> None:
    def plane(run: str, **fields: int) -> str:
        return "{" + f'name: "T", {run}, ' + ", ".join(f"{key}: {value}" for key, value in fields.items()) + "}"

    user = plane("run_range: [-1, -1]", a=1)
    run = plane("run_range: [10, 20]", a=2, b=2)
    default = plane("valid_begin: [0, 0], valid_end: [0, 0]", a=3, b=3, c=3)
    report = ImportReport()
    table = _tables(tmp_path, user + run, default, report=report)["T", ""]
    assert (table["a"], table["b"], table["c"]) == (1, 2, 3)
    assert list(report.notes) == ["table T[]: the fields of runs [10, 20] are used"]


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "{name: }",
        "[1, 2]",
        "{a: 1}",
        "{name: 'x'}",
        '{name: "x" b: 1}',
        "hello",
        "[" * 10_000,
        '{name: "x", a: 1 2}',
    ],
)
def test_what_is_no_table_is_refused_with_the_file(tmp_path: Path, text: str) -> None:
    with pytest.raises(DetectorImportError, match=r"0\.ratdb: not a RATDB file"):
        _tables(tmp_path, text)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\xff\xfe{}")
    with pytest.raises(DetectorImportError, match="not a RATDB file"):
        read_tables([tmp_path / "x"], ImportReport())


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('"PMTINFO", run', '"OTHER", run', r"table PMTINFO\[\] is not in the files"),
        ("r5912\", run", 'r1408", run', r"table PMT\[r5912\] is not in the files"),
        ("x: [0.0, ", "x: [", "differ in length"),
        ("x: [0.0,", 'x: ["a",', "no list of numbers"),
        ('pos_table: "PMTINFO"', "start_idx: 1", "no field 'pos_table'"),
        ('pos_table: "PMTINFO"', 'pos_table: "PMTINFO", end_idx: 4', "rows 0 to 4"),
    ],
)  # fmt: skip
def test_wrong_tables_of_pmts_are_refused(tmp_path: Path, old: str, new: str, problem: str) -> None:
    with pytest.raises(DetectorImportError, match=problem):
        pmt_arrays(_tables(tmp_path, RAT_TABLES.replace(old, new)))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Four rows, at x of 0, 100, 200, 300."""
    path = tmp_path / "pmts.ratdb"
    path.write_text(RAT_TABLES)
    return path


@pytest.mark.parametrize("is_old", [False, True])
def test_channel_i_is_pmt_i_with_place_type_and_efficiency_of_its_row(
    convert: Convert, table: Path, report: ImportReport, is_old: bool
) -> None:
    geometry = convert(rat_detector([3, 1, 0, 2], is_old=is_old), tables=(table,))
    places = channel_positions(geometry)
    assert [places[i].tolist() for i in range(2)] == [[0, 0, -1.5], [100, 0, -1.5]]
    types = {
        array["first_channel"] + i: np.broadcast_to(array["channel_types"], len(array["positions"]))[i]
        for array in geometry["arrays"] for i in range(len(array["positions"]))
    }  # fmt: skip
    assert types == {0: 1, 1: 1, 2: 2, 3: 2}
    efficiencies = {}
    for array in geometry["arrays"]:
        film = next(one["surface"] for one in geometry["parts"][array["part"]] if "surface" in one)
        for i in range(len(array["positions"])):
            efficiencies[array["first_channel"] + i] = table_at(geometry["surfaces"][film]["efficiency"], 400)
    assert efficiencies == pytest.approx({0: 0.18, 1: 0.09, 2: 0.18, 3: 0.18})
    assert any("'pmts_body_phys' is not in the file" in one for one in report.notes) == is_old
    assert len(geometry["parts"]) == 2


def test_an_envelope_of_its_mothers_material_leaves_nothing(convert: Convert, table: Path) -> None:
    geometry = convert(rat_detector([0, 1, 2, 3]), tables=(table,))
    for part in geometry["parts"].values():
        assert [(one["inner"], one["outer"]) for one in part] == [("glass", "water"), ("air", "glass")]


def test_pmts_that_stand_elsewhere_than_their_table_says_are_told_where_they_stand(
    convert: Convert, table: Path, report: ImportReport
) -> None:
    places = channel_positions(convert(rat_detector([0, 1, 2, 3], shift=7), tables=(table,)))
    assert places[1].tolist() == [107, 0, -1.5]
    assert any("stand elsewhere" in one for one in report.notes)


@pytest.mark.parametrize(
    ("ids", "problem"),
    [
        ([0, 1, 2], "3 PMTs .* 4 rows"),
        ([0, 1, 2, 3, 4], "5 PMTs"),
        ([0, 1, 2, 7], "PMT 7 has no row"),
        ([1, 2, 3, 4], "not 0 to 3"),
    ],
)
def test_more_or_fewer_pmts_than_rows_are_refused(convert: Convert, table: Path, ids: list[int], problem: str) -> None:
    with pytest.raises(DetectorImportError, match=problem):
        convert(rat_detector(ids), tables=(table,))


def test_a_second_array_counts_on_and_may_begin_within_its_table(convert: Convert, tmp_path: Path) -> None:
    """PMT 2 is row 2 of the table: 2 - the first id of its array + start_idx."""
    text = (
        RAT_TABLES.replace('pos_table: "PMTINFO",', 'pos_table: "PMTINFO", end_idx: 1,')
        + """
    {name: "GEO", index: "veto", run_range: [0, 0], type: "pmtarray", pmt_model: "r5912", pos_table: "PMTINFO",
     start_idx: 2}
    {name: "GEO", index: "vessel", run_range: [0, 0], type: "sphere"}"""
    )
    path = tmp_path / "two.ratdb"
    path.write_text(text)
    detector = rat_detector([0, 1]).replace("</volume><bordersurface", "".join(
        placed(f"veto_pmtenv_{i}", "env", at=f'x="{100 * i}" z="{z}"', copy_number=i) for i, z in ((2, 0.5), (3, 0))
    ) + "</volume><bordersurface")  # fmt: skip
    places = channel_positions(convert(detector, tables=(path,)))
    assert [places[i].tolist() for i in range(4)] == [[0, 0, -1.5], [100, 0, -1.5], [200, 0, 0.5], [300, 0, 0]]


def test_tables_without_pmts_leave_the_choice_to_the_names(
    convert: Convert, tmp_path: Path, report: ImportReport
) -> None:
    path = tmp_path / "other.ratdb"
    path.write_text('{name: "PMT", index: "r5912", run_range: [0, 0]}')
    geometry = convert(rat_detector([0, 1]), tables=(path,), sensors="_pmtenv_")
    assert len(channel_positions(geometry)) == 2
    assert any("no array of PMTs" in one for one in report.notes)
