"""Boundaries of volumes that touch: each face once, between the two volumes that really meet there."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from std_daq.photons.detector import PhotonDetector
from std_daq.photons.flags import Flag
from std_daq.photons.importing.report import ImportReport
from std_daq.photons.records import PHOTON
from std_test_kit.boundary_rays import media_along, placed_boundaries
from std_test_kit.gdml import bordered, gdml_text, placed, tank, volume

Convert = Callable[..., dict[str, Any]]


def _area(geometry: dict[str, Any], first: str, second: str) -> float:
    """Return the area where two media meet."""
    return sum(
        one.area() for one in placed_boundaries(geometry) if {one.solid["inner"], one.solid["outer"]} == {first, second}
    )


def _media(geometry: dict[str, Any], origin: list[float], direction: list[float]) -> list[tuple[float, str]]:
    crossings = media_along(placed_boundaries(geometry), np.array(origin, float), np.array(direction, float))
    return [(pytest.approx(float(one[0]), abs=1e-6), one[2]) for one in crossings]


BOXES = """<box name="w" x="200" y="200" z="200"/><box name="b10" x="10" y="10" z="10"/>
<box name="b4" x="4" y="4" z="4"/>
<box name="b20" x="20" y="20" z="20"/><box name="tile" x="10" y="10" z="2"/><box name="thin" x="10" y="10" z="0.001"/>
<box name="film" x="10" y="10" z="1e-7"/>"""


def test_two_boxes_upon_each_other_have_one_face_in_common(convert: Convert) -> None:
    structure = (
        volume("a", "glass", "b10") + volume("b", "air", "b4")
        + volume("world", "water", "w", placed("a", "a") + placed("b", "b", at='z="7"'))
    )  # fmt: skip
    geometry = convert(gdml_text(solids=BOXES, structure=structure))
    assert _area(geometry, "glass", "air") == pytest.approx(16)
    assert _area(geometry, "glass", "water") == pytest.approx(600 - 16)
    assert _area(geometry, "air", "water") == pytest.approx(5 * 16)
    assert _media(geometry, [0.5, 0.7, -50], [0, 0, 1]) == [(45, "glass"), (55, "air"), (59, "water")]


def test_a_daughter_flush_with_her_mother_meets_what_is_outside(convert: Convert) -> None:
    structure = (
        volume("inner", "air", "b4") + volume("outer", "glass", "b10", placed("inner", "inner", at='x="3"'))
        + volume("world", "water", "w", placed("outer", "outer"))
    )  # fmt: skip
    geometry = convert(gdml_text(solids=BOXES, structure=structure))
    assert _area(geometry, "air", "water") == pytest.approx(16)
    assert _area(geometry, "glass", "water") == pytest.approx(600 - 16)
    assert _area(geometry, "glass", "air") == pytest.approx(5 * 16)
    assert _media(geometry, [50, 0.5, 0.7], [-1, 0, 0]) == [(45, "air"), (49, "glass"), (55, "water")]


@pytest.mark.parametrize("turned", ["", 'x="30" y="40" z="50" unit="deg"'])
def test_a_box_upon_a_face_that_three_generations_share(convert: Convert, turned: str) -> None:
    """Mother (20), daughter (10) and granddaughter (4) are flush; a box of 10 stands upon a corner of all that."""
    structure = (
        volume("c", "steel", "b4") + volume("b", "air", "b10", placed("c", "c", at='z="3"'))
        + volume("a", "glass", "b20", placed("b", "b", at='z="5"'))
        + volume("top", "ice", "b10")
        + volume("pair", "water", "b60", placed("a", "a") + placed("top", "top", at='x="5" y="5" z="15"'))
        + volume("world", "water", "w", placed("pair", "pair", at='x="10"', turned=turned))
    )  # fmt: skip
    solids = BOXES + '<box name="b60" x="60" y="60" z="60"/>'
    materials = '<material name="ice"><property name="RINDEX" ref="glass_n"/></material>'
    geometry = convert(gdml_text(solids=solids, structure=structure, materials=materials))
    # In the common face: steel 4 x 4, air 10 x 10 without it, glass 20 x 20 without that; ice upon x, y of 0 to 10.
    assert _area(geometry, "steel", "ice") == pytest.approx(4)
    assert _area(geometry, "air", "ice") == pytest.approx(25 - 4)
    assert _area(geometry, "glass", "ice") == pytest.approx(75)
    assert _area(geometry, "steel", "water") == pytest.approx(12)
    assert _area(geometry, "air", "water") == pytest.approx(75 - 12)
    assert _area(geometry, "glass", "water") == pytest.approx(300 - 75 + 5 * 400)
    assert _area(geometry, "ice", "water") == pytest.approx(500)


def test_tiles_side_by_side_on_a_wall(convert: Convert) -> None:
    """Neighbours share their sides, all are flush with the wall; those that a wall's material continues vanish."""
    tiles = "".join(
        placed(f"t{i}{j}", "tile", at=f'x="{10 * i}" y="{10 * j}" z="99"') for i in range(3) for j in range(2)
    )
    structure = (
        volume("tile", "glass", "tile") + volume("room", "water", "w", tiles)
        + volume("world", "steel", "big", placed("room", "room"))
    )  # fmt: skip
    geometry = convert(gdml_text(solids=BOXES + '<box name="big" x="300" y="300" z="300"/>', structure=structure))
    assert _area(geometry, "glass", "steel") == pytest.approx(600)
    assert _area(geometry, "glass", "water") == pytest.approx(600 + 2 * 30 * 2 + 2 * 20 * 2)
    assert _area(geometry, "water", "steel") == pytest.approx(6 * 200**2 - 600)
    assert _area(geometry, "glass", "glass") == 0


@pytest.mark.parametrize(("gap", "centre"), [("thin", 0.0005), ("film", 5e-8)])
def test_a_gap_of_one_material_between_its_neighbours_leaves_nothing(convert: Convert, gap: str, centre: float) -> None:
    structure = (
        volume("a", "air", "b10") + volume("gap", "air", gap)
        + volume("body", "glass", "b30", placed("low", "a", at='z="-5"') + placed("gap", "gap", at=f'z="{centre}"')
                 + placed("high", "a", at=f'z="{5 + 2 * centre}"'))
        + volume("world", "water", "w", placed("body", "body"))
    )  # fmt: skip
    geometry = convert(gdml_text(solids=BOXES + '<box name="b30" x="30" y="30" z="30"/>', structure=structure))
    assert _media(geometry, [1, 2, -50], [0, 0, 1]) == [
        (35, "glass"), (40, "air"), (60 + 2 * centre, "glass"), (65, "water")
    ]  # fmt: skip
    assert _area(geometry, "air", "air") == 0


def test_a_gap_of_another_material_is_kept(convert: Convert) -> None:
    structure = (
        volume("a", "air", "b10") + volume("gap", "water", "thin")
        + volume("body", "glass", "b30", placed("low", "a", at='z="-5"') + placed("gap", "gap", at='z="0.0005"')
                 + placed("high", "a", at='z="5.001"'))
        + volume("world", "air", "w", placed("body", "body"))
    )  # fmt: skip
    geometry = convert(gdml_text(solids=BOXES + '<box name="b30" x="30" y="30" z="30"/>', structure=structure))
    assert [medium for _, medium in _media(geometry, [1, 2, -50], [0, 0, 1])] == [
        "glass",
        "air",
        "water",
        "air",
        "glass",
        "air",
    ]


def test_round_volumes_that_fill_each_other_have_one_boundary(convert: Convert) -> None:
    """A hollow cylinder beside what fills it, and a ball in a shell: siblings, round, in touch everywhere."""
    solids = """<tube name="pipe" rmin="10" rmax="12" z="40" deltaphi="360" aunit="deg"/>
    <tube name="core" rmax="10" z="40" deltaphi="360" aunit="deg"/>
    <sphere name="shell" rmin="10" rmax="12" deltaphi="360" deltatheta="180" aunit="deg"/><orb name="ball" r="10"/>
    <box name="w" x="200" y="200" z="200"/>"""
    content = placed("pipe", "pipe", at='x="-50"') + placed("core", "core", at='x="-50"')
    content += placed("shell", "shell", at='x="50"') + placed("ball", "ball", at='x="50"')
    structure = (
        volume("pipe", "glass", "pipe") + volume("core", "air", "core") + volume("shell", "glass", "shell")
        + volume("ball", "air", "ball") + volume("world", "water", "w", content)
    )  # fmt: skip
    geometry = convert(gdml_text(solids=solids, structure=structure))
    spheres = [one for one in geometry["solids"] if one["shape"] == "sphere"]
    assert {(one["radius"], one["inner"], one["outer"]) for one in spheres} == {
        (12, "glass", "water"),
        (10, "air", "glass"),
    }
    assert _media(geometry, [100, 0, 0], [-1, 0, 0]) == [
        (38, "glass"), (40, "air"), (60, "glass"), (62, "water"),
        (138, "glass"), (140, "air"), (160, "glass"), (162, "water"),
    ]  # fmt: skip
    assert _area(geometry, "air", "glass") == pytest.approx(2 * math.pi * 10 * 40 + 4 * math.pi * 100, rel=2e-3)


def test_what_is_opaque_on_both_sides_or_at_the_edge_of_the_world_is_left_out(convert: Convert) -> None:
    structure = (
        volume("bolt", "steel", "b4") + volume("wall", "iron", "b10", placed("bolt", "bolt"))
        + volume("world", "water", "b20", placed("wall", "wall", at='x="5"'))
    )  # fmt: skip
    geometry = convert(gdml_text(solids=BOXES, structure=structure, materials='<material name="iron"/>'))
    assert _area(geometry, "steel", "iron") == 0
    assert _area(geometry, "iron", "water") == pytest.approx(500)
    assert len(geometry["solids"]) == 1
    assert geometry["solids"][0]["surface"] == "opaque"


@pytest.mark.parametrize(("x", "is_told"), [(94.82, True), (94.5, False)])
def test_what_reaches_through_the_facets_of_a_round_wall_is_told(
    convert: Convert, report: ImportReport, x: float, is_told: bool
) -> None:
    """A facet of 64 lies 0.12 mm within a wall of 100 mm; the other box keeps the wall from being exact."""
    content = placed("near", "b10", at=f'x="{x}" y="4.9"') + placed("floor", "b10", at='z="-45"')
    structure = (
        volume("b10", "air", "thin")
        + volume("pot", "glass", "pot", content)
        + volume("world", "water", "w", placed("pot", "pot"))
    )
    solids = BOXES.replace("thin", "other") + '<box name="thin" x="10" y="0.01" z="10"/>'
    solids += '<tube name="pot" rmax="100" z="100" deltaphi="360" aunit="deg"/>'
    convert(gdml_text(solids=solids, structure=structure))
    assert any("'near'" in one and "reaches through the facets" in one for one in report.not_representable) == is_told


def test_volumes_that_overlap_in_a_plane_are_told(convert: Convert, report: ImportReport) -> None:
    structure = (
        volume("a", "glass", "b10") + volume("b", "air", "b10")
        + volume("world", "water", "w", placed("a", "a") + placed("b", "b", at='x="3"'))
    )  # fmt: skip
    convert(gdml_text(solids=BOXES, structure=structure))
    assert any("'a' and 'b'" in one and "overlap" in one for one in report.not_representable)


def test_pmts_that_touch_nothing_are_one_part_at_many_places(convert: Convert) -> None:
    geometry = convert(tank(n_pmts=6))
    (array,) = geometry["arrays"]
    (part,) = geometry["parts"].values()
    assert len(array["positions"]) == 6
    assert array["first_channel"] == 0
    assert [(one["shape"], one["inner"], one.get("surface")) for one in part] == [
        ("revolved", "glass", None),
        ("revolved", "air", "cathode"),
        ("revolved", "air", "mirror"),
    ]
    # The cavities touch: neither has a disc between them.
    assert part[1]["profile"][0] == [97, 0]
    assert part[1]["profile"][-1] == [0, 77]
    assert part[2]["profile"][-1] == [97, 0]


def test_a_tank_is_as_its_volumes_say(convert: Convert) -> None:
    geometry = convert(tank())
    assert _area(geometry, "glass", "steel") == pytest.approx(200 * 300 + math.pi * 80**2, rel=2e-3)
    assert _area(geometry, "water", "steel") == pytest.approx(
        2 * math.pi * 990 * (990 + 1980) - 200 * 300 - math.pi * 80**2, rel=2e-3
    )
    assert _media(geometry, [0, 0, 100], [1, 0, 0]) == [
        (720, "glass"), (723, "air"), (947, "glass"), (950, "water"), (990, "steel"), (1000, "air"),
    ]  # fmt: skip
    assert _media(geometry, [-300, 1, 0], [0, 0, -1]) == [
        (790, "air"), (890, "glass"), (990, "steel"), (1000, "air"),
    ]  # fmt: skip


@pytest.mark.parametrize("shift", [0.0, 5e-5])
def test_faces_as_near_as_the_tolerance_are_one(convert: Convert, shift: float) -> None:
    structure = (
        volume("a", "glass", "b10") + volume("b", "air", "b10")
        + volume("world", "water", "w", placed("a", "a") + placed("b", "b", at=f'z="{10 + shift}"'))
    )  # fmt: skip
    geometry = convert(gdml_text(solids=BOXES, structure=structure))
    assert _area(geometry, "glass", "air") == pytest.approx(100)


def test_volumes_that_are_sensors_by_name_are_no_part_of_the_others(convert: Convert) -> None:
    many = "".join(placed(name, "bead", at=f'x="{20 * i - 90}"') for i, name in enumerate(("pmt1", "pmt2", "x", "y")))
    structure = volume("bead", "glass", "b4") + volume("world", "water", "w", many)
    structure += '<skinsurface name="k" surfaceproperty="cathode"><volumeref ref="bead"/></skinsurface>'
    geometry = convert(gdml_text(solids=BOXES, structure=structure), sensors="pmt")
    assert [(len(one["positions"]), one.get("first_channel")) for one in geometry["arrays"]] == [(2, 0), (2, None)]


def test_repeated_volumes_without_sensors_are_a_part_too(convert: Convert) -> None:
    many = "".join(placed(f"p{i}", "bead", at=f'x="{20 * i - 90}"') for i in range(10))
    structure = volume("bead", "glass", "b4") + volume("world", "water", "w", many)
    geometry = convert(gdml_text(solids=BOXES, structure=structure))
    (array,) = geometry["arrays"]
    assert len(array["positions"]) == 10
    assert "first_channel" not in array
    assert geometry["solids"] == []


def test_sensors_that_touch_a_wall_keep_their_channels(convert: Convert) -> None:
    """Flush with the wall: they are no parts of their own, and the wall has holes where they stand."""
    sensors = "".join(placed(f"s{i}", "chip", at=f'x="{20 * i}" z="99"', copy_number=2 - i) for i in range(3))
    structure = (
        volume("chip", "glass", "tile") + volume("room", "water", "w", sensors)
        + volume("world", "steel", "big", placed("room", "room"))
        + "".join(bordered(f"b{i}", "cathode", "room", f"s{i}") for i in range(3))
    )  # fmt: skip
    geometry = convert(
        gdml_text(solids=BOXES + '<box name="big" x="300" y="300" z="300"/>', structure=structure), sensors="^chip$"
    )
    detecting = [one for one in placed_boundaries(geometry) if one.solid.get("surface") == "cathode"]
    assert sorted(one.channel for one in detecting if one.channel is not None) == [0, 1, 2]
    centres = {one.channel: one.corners.reshape(-1, 3)[:, 0].mean() for one in detecting}
    assert centres == {0: pytest.approx(40), 1: pytest.approx(20), 2: pytest.approx(0)}
    assert all(one.area() == pytest.approx(100 + 4 * 20) for one in detecting)


@pytest.mark.parametrize("is_ideal", [False, True])
def test_envelopes_of_the_mothers_material_may_touch_each_other(convert: Convert, is_ideal: bool) -> None:
    """As RAT's do in dense arrays: light does not notice them, and each sensor stays a part."""
    row = "".join(placed(f"s{i}", "envelope", at=f'x="{10 * i}"', copy_number=i) for i in range(3))
    structure = (
        volume("chip", "glass", "b4") + volume("envelope", "water", "b10", placed("chip", "chip"))
        + volume("world", "water", "w", row)
        + "".join(bordered(f"k{i}", "cathode", f"s{i}", "chip") for i in range(3) if not is_ideal)
    )  # fmt: skip
    geometry = convert(gdml_text(solids=BOXES, structure=structure), sensors="^s", has_ideal_sensors=is_ideal)
    (array,) = geometry["arrays"]
    assert len(array["positions"]) == 3
    assert geometry["solids"] == []


def test_a_detector_is_converted_to_the_same_bytes_each_time(convert: Convert) -> None:
    assert convert(tank()) == convert(tank())


def test_finer_facets_come_nearer_to_the_round_surface(convert: Convert) -> None:
    expected = 2 * math.pi * 990 * (990 + 1980) - 200 * 300 - math.pi * 80**2
    errors = [abs(_area(convert(tank(), segments=n), "water", "steel") - expected) for n in (16, 64)]
    assert errors[0] > 10 * errors[1]


@pytest.mark.parametrize(
    ("pipe", "core", "is_told"),
    [
        ("", 'z="3" unit="deg"', True),
        ("", 'z="45" unit="deg"', False),  # eight facets of 64
        ('z="3" unit="deg"', 'z="3" unit="deg"', False),
        ("", 'x="180" z="7" unit="deg"', True),
        ("", 'x="180" unit="deg"', False),
    ],
)
def test_round_solids_that_fill_each_other_with_other_facets_are_told(
    convert: Convert, report: ImportReport, pipe: str, core: str, is_told: bool
) -> None:
    solids = """<tube name="pipe" rmin="10" rmax="12" z="40" deltaphi="360" aunit="deg"/>
    <tube name="core" rmax="10" z="30" deltaphi="360" aunit="deg"/><box name="w" x="200" y="200" z="200"/>"""
    content = placed("pipe", "pipe", turned=pipe) + placed("core", "core", at='z="2"', turned=core)
    structure = volume("pipe", "glass", "pipe") + volume("core", "air", "core") + volume("world", "water", "w", content)
    convert(gdml_text(solids=solids, structure=structure))
    assert any("'pipe' and 'core'" in one and "fill each other" in one for one in report.not_representable) == is_told


def test_light_finds_no_way_out_of_a_converted_tank(convert: Convert) -> None:
    """The engine's own photons: every one is absorbed or detected, whatever faces it came to."""
    photons = np.zeros(2000, PHOTON)
    random = np.random.default_rng(1)
    directions = random.normal(size=(len(photons), 3))
    for name, values in zip(("dx", "dy", "dz"), directions.T, strict=True):
        photons[name] = values
    photons["polx"], photons["z"], photons["wavelength"] = 1, -300, 400
    detector = PhotonDetector.of(convert(tank(n_pmts=6)))
    flags = detector.propagate(photons)["flags"]
    assert not (flags & Flag.NO_HIT).any()
    assert (flags & (Flag.SURFACE_DETECT | Flag.SURFACE_ABSORB)).all()
    assert (flags & Flag.SURFACE_DETECT).any()
