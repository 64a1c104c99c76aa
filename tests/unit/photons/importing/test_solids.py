"""Solids of GDML: the surface is closed, and encloses the volume of the formula."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from std_daq.photons.importing.errors import DetectorImportError
from std_daq.photons.importing.facets import Facets
from std_daq.photons.importing.gdml.reader import read_gdml
from std_daq.photons.importing.report import ImportReport
from std_test_kit.gdml import gdml_text, placed, volume, write_gdml

Convert = Callable[..., dict[str, Any]]
SEGMENTS = 128
CORNERS = "".join(
    f'<position name="c{i}" x="{x}" y="{y}" z="{z}" unit="cm"/>'
    for i, (x, y, z) in enumerate([(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)])
)
FULL = 'deltaphi="360" aunit="deg"'
SOLIDS: dict[str, tuple[str, float | None]] = {
    "box": (
        '<box name="s" x="1" y="2" z="3" lunit="cm"/>',
        6000,
    ),
    "tube": (
        '<tube name="s" rmax="10" z="20" deltaphi="360" aunit="deg"/>',
        math.pi * 2000,
    ),
    "hollow tube": (
        '<tube name="s" rmin="5" rmax="10" z="20" deltaphi="360" aunit="deg"/>',
        math.pi * 1500,
    ),
    "part of a tube": (
        '<tube name="s" rmin="5" rmax="10" z="20" startphi="30" deltaphi="200" aunit="deg"/>',
        math.pi * 1500 * 200 / 360,
    ),
    "tube in radian": (
        '<tube name="s" rmax="10" z="20" startphi="0" deltaphi="pi"/>',
        math.pi * 1000,
    ),
    "cone": (
        '<cone name="s" rmin1="1" rmax1="4" rmin2="2" rmax2="6" z="9" deltaphi="360" aunit="deg"/>',
        math.pi * 9 / 3 * (16 + 24 + 36 - 1 - 2 - 4),
    ),
    "cone to a point": (
        '<cone name="s" rmin1="0" rmax1="3" rmin2="0" rmax2="0" z="5" deltaphi="360" aunit="deg"/>',
        math.pi * 15,
    ),
    "orb": (
        '<orb name="s" r="10"/>',
        4 / 3 * math.pi * 1000,
    ),
    "shell": (
        '<sphere name="s" rmin="8" rmax="10" deltaphi="360" aunit="deg" deltatheta="180"/>',
        4 / 3 * math.pi * (1000 - 512),
    ),
    "cap": (
        '<sphere name="s" rmax="10" deltaphi="360" aunit="deg" starttheta="0" deltatheta="60"/>',
        2 / 3 * math.pi * 1000 * 0.5,
    ),
    "part of a shell": (
        """<sphere name="s" rmin="8" rmax="10" startphi="10" deltaphi="90" starttheta="30" deltatheta="60"
         aunit="deg"/>""",
        math.pi / 2 / 3 * (1000 - 512) * math.cos(math.pi / 6),
    ),
    "torus": (
        '<torus name="s" rmin="0" rmax="2" rtor="10" deltaphi="360" aunit="deg"/>',
        2 * math.pi**2 * 10 * 4,
    ),
    "part of a hollow torus": (
        '<torus name="s" rmin="1" rmax="2" rtor="10" startphi="0" deltaphi="90" aunit="deg"/>',
        math.pi**2 / 2 * 10 * 3,
    ),
    "elliptic tube": (
        '<eltube name="s" dx="2" dy="3" dz="5"/>',
        math.pi * 6 * 10,
    ),
    "ellipsoid": (
        '<ellipsoid name="s" ax="2" by="3" cz="4"/>',
        4 / 3 * math.pi * 24,
    ),
    "half an ellipsoid": (
        '<ellipsoid name="s" ax="2" by="3" cz="4" zcut1="0" zcut2="4"/>',
        2 / 3 * math.pi * 24,
    ),
    "polycone": (
        """<polycone name="s" startphi="0" deltaphi="360" aunit="deg"><zplane rmax="1" z="0"/>
         <zplane rmax="2" z="3"/></polycone>""",
        math.pi * (1 + 2 + 4),
    ),
    "polycone from above": (
        """<polycone name="s" startphi="0" deltaphi="360" aunit="deg"><zplane rmax="2" z="3"/>
         <zplane rmax="1" z="0"/></polycone>""",
        math.pi * (1 + 2 + 4),
    ),
    "polycone with a step": (
        """<polycone name="s" deltaphi="360" aunit="deg"><zplane rmin="1" rmax="3" z="0"/>
         <zplane rmin="1" rmax="3" z="2"/><zplane rmin="1" rmax="2" z="2"/>
         <zplane rmin="1" rmax="2" z="3"/></polycone>""",
        math.pi * (16 + 3),
    ),
    "generic polycone": (
        """<genericPolycone name="s" deltaphi="360" aunit="deg"><rzpoint r="0" z="0"/>
         <rzpoint r="0" z="3"/><rzpoint r="3" z="0"/></genericPolycone>""",
        math.pi * 9,
    ),
    "polyhedra": (
        """<polyhedra name="s" numsides="6" deltaphi="360" aunit="deg"><zplane rmax="1" z="0"/>
         <zplane rmax="1" z="2"/></polyhedra>""",
        6 * math.tan(math.pi / 6) * 2,
    ),
    "trd": (
        '<trd name="s" x1="2" x2="4" y1="2" y2="4" z="3"/>',
        3 * (4 + 16 + 8) / 3,
    ),
    "para": (
        '<para name="s" x="2" y="3" z="4" alpha="20" theta="10" phi="30" aunit="deg"/>',
        24,
    ),
    "trap": (
        """<trap name="s" z="4" theta="0" phi="0" y1="2" x1="2" x2="4" alpha1="0" y2="2" x3="2" x4="4"
         alpha2="0"/>""",
        24,
    ),
    "arb8": (
        """<arb8 name="s" v1x="-1" v1y="-1" v2x="-1" v2y="1" v3x="1" v3y="1" v4x="1" v4y="-1" v5x="-1"
         v5y="-1" v6x="-1" v6y="1" v7x="1" v7y="1" v8x="1" v8y="-1" dz="2"/>""",
        16,
    ),
    "tet": (
        '<tet name="s" vertex1="c0" vertex2="c1" vertex3="c2" vertex4="c3"/>',
        1000 / 6,
    ),
    "xtru": (
        """<xtru name="s"><twoDimVertex x="0" y="0"/><twoDimVertex x="0" y="2"/>
         <twoDimVertex x="1" y="1"/><twoDimVertex x="2" y="2"/><twoDimVertex x="2" y="0"/>
         <section zOrder="1" zPosition="5" scalingFactor="1"/>
         <section zOrder="0" zPosition="0" scalingFactor="1"/></xtru>""",
        15,
    ),
    "tessellated": (
        """<tessellated name="s"><triangular vertex1="c0" vertex2="c2" vertex3="c1"/>
         <triangular vertex1="c0" vertex2="c1" vertex3="c3"/>
         <triangular vertex1="c1" vertex2="c2" vertex3="c3"/>
         <triangular vertex1="c2" vertex2="c0" vertex3="c3"/></tessellated>""",
        1000 / 6,
    ),
    "paraboloid": (
        '<paraboloid name="s" rlo="1" rhi="3" dz="2"/>',
        math.pi * 4 * (1 + 9) / 2,
    ),
    "subtraction": (
        """<box name="a" x="10" y="10" z="10"/><box name="b" x="4" y="4" z="20"/><subtraction name="s">
         <first ref="a"/><second ref="b"/></subtraction>""",
        840,
    ),
    "turned subtraction": (
        """<box name="a" x="10" y="10" z="10"/><box name="b" x="1" y="2" z="20"/><subtraction name="s">
         <first ref="a"/><second ref="b"/><position name="p" x="5"/>
         <rotation name="r" y="90" unit="deg"/></subtraction>""",
        1000 - 10 * 2 * 1,
    ),
    "union": (
        """<box name="a" x="2" y="2" z="2"/><union name="s"><first ref="a"/><second ref="a"/>
         <position name="p" x="1" y="0" z="0" unit="mm"/></union>""",
        12,
    ),
    "intersection of booleans": (
        """<box name="a" x="2" y="2" z="2"/><union name="u"><first ref="a"/><second ref="a"/>
         <position name="p" x="1"/></union><intersection name="s"><first ref="u"/><second ref="a"/>
         <position name="q" x="2"/></intersection>""",
        4,
    ),
    "union whose first solid is moved": (
        """<box name="a" x="2" y="2" z="2"/><union name="s"><first ref="a"/><second ref="a"/>
         <firstposition name="p" x="5"/></union>""",
        16,
    ),
    "multi union": (
        """<box name="a" x="2" y="2" z="2"/><multiUnion name="s"><multiUnionNode name="1"><solid ref="a"/>
         </multiUnionNode><multiUnionNode name="2"><solid ref="a"/><position name="p" z="1"/>
         </multiUnionNode></multiUnion>""",
        12,
    ),
    "torusstack": (
        """<torusstack name="s" lunit="mm"><edge z="-5" rho="10"/><origin z="-5"/><edge z="0" rho="10"/>
         <origin z="0"/><edge z="10" rho="0"/></torusstack>""",
        math.pi * 500 + 2 / 3 * math.pi * 1000,
    ),
    "hollow torusstack": (
        """<torusstack name="i" lunit="mm"><edge z="-4" rho="9"/><origin z="-4"/><edge z="-1" rho="9"/>
         </torusstack><torusstack name="s" lunit="mm"><edge z="-5" rho="10"/><origin z="-5"/>
         <edge z="0" rho="10"/><inner ref="i"/></torusstack>""",
        math.pi * (500 - 243),
    ),
    "waist": (
        """<torusstack name="s" lunit="mm"><edge z="-3" rho="4"/><origin z="-0.5"/>
         <edge z="3" rho="5"/></torusstack>""",
        None,
    ),
}


def _facets(folder: Path, solid: str, segments: int = SEGMENTS) -> Facets:
    structure = volume("world", "water", "s")
    detector = read_gdml(
        write_gdml(folder, gdml_text(solids=solid, structure=structure, define=CORNERS)), ImportReport()
    )
    return detector.world.solid.facets(segments)


def _volume(facets: Facets) -> float:
    a, b, c = (facets.corners()[:, i] for i in range(3))
    return float((a * np.cross(b, c)).sum() / 6)


@pytest.mark.parametrize("kind", [kind for kind, (_, expected) in SOLIDS.items() if expected is not None])
def test_solid_encloses_the_volume_of_the_formula(tmp_path: Path, kind: str) -> None:
    solid, expected = SOLIDS[kind]
    assert _volume(_facets(tmp_path, solid)) == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize("kind", SOLIDS)
@pytest.mark.parametrize("segments", [7, 16])
def test_solid_is_closed(tmp_path: Path, kind: str, segments: int) -> None:
    facets = _facets(tmp_path, SOLIDS[kind][0], segments)
    _, index = np.unique(np.round(facets.vertices, 9), axis=0, return_inverse=True)
    triangles = index.reshape(-1)[facets.triangles]
    edges = {(int(a), int(b)) for one in triangles for a, b in zip(one, np.roll(one, -1), strict=True)}
    assert len(edges) == 3 * len(triangles)
    assert {(b, a) for a, b in edges} == edges


@pytest.mark.parametrize("kind", SOLIDS)
def test_outlines_of_faces_enclose_the_areas_of_their_triangles(tmp_path: Path, kind: str) -> None:
    facets = _facets(tmp_path, SOLIDS[kind][0], 16)
    for face in range(facets.n_faces):
        corners = facets.corners()[facets.face_of_triangle == face]
        area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1).sum() / 2
        loops = [facets.vertices[loop] for loop in facets.loops_of(face)]
        swept = sum(np.cross(loop, np.roll(loop, -1, axis=0)).sum(axis=0) for loop in loops) / 2
        assert swept @ facets.normals[face] == pytest.approx(area, rel=1e-9)


def test_the_waist_of_a_torusstack_bends_towards_the_axis(tmp_path: Path) -> None:
    facets = _facets(tmp_path, SOLIDS["waist"][0])
    radii = np.hypot(facets.vertices[:, 0], facets.vertices[:, 1])
    assert radii[radii > 0].min() == pytest.approx(7.5 - np.hypot(2.5, 3.5), rel=1e-3)


def test_facets_of_one_axis_have_their_corners_at_the_same_angles(tmp_path: Path) -> None:
    for solid in (
        f'<tube name="s" rmin="10" rmax="12" z="4" {FULL}/>',
        '<tube name="s" rmax="10" z="4" startphi="10" deltaphi="100" aunit="deg"/>',
    ):
        vertices = _facets(tmp_path, solid, 36).vertices
        angles = np.degrees(np.arctan2(vertices[:, 1], vertices[:, 0]))[np.hypot(vertices[:, 0], vertices[:, 1]) > 9]
        np.testing.assert_allclose(angles / 10, np.round(angles / 10), atol=1e-9)


@pytest.mark.parametrize(
    ("solid", "problem"),
    [
        ('<box name="s" x="0" y="1" z="1"/>', "'x' is 0 mm"),
        ('<box name="s" y="1" z="1"/>', "no attribute 'x'"),
        (f'<tube name="s" rmin="3" rmax="2" z="1" {FULL}/>', "rmin is not smaller"),
        ('<tube name="s" rmax="2" z="1" deltaphi="0"/>', "'deltaphi' is 0"),
        ('<polycone name="s" deltaphi="7"><zplane rmax="1" z="0"/></polycone>', "1 z planes"),
        (f'<torus name="s" rmin="0" rmax="3" rtor="2" {FULL}/>', "rmin < rmax <= rtor"),
        ('<twistedbox name="s" x="1" y="1" z="1" PhiTwist="1"/>', "twistedbox, which cannot be converted"),
        ('<subtraction name="s"><first ref="a"/><second ref="b"/></subtraction>', "no solid 'a' is defined"),
        ('<torusstack name="s"><edge z="0" rho="1"/><edge z="1" rho="1"/></torusstack>', "need one origin"),
        ('<tessellated name="s"><triangular vertex1="c0" vertex2="c2" vertex3="c1"/></tessellated>', "not closed"),
        (
            '<tessellated name="s"><triangular vertex1="nowhere" vertex2="c2" vertex3="c1"/></tessellated>',
            "no position",
        ),
    ],
)
def test_wrong_solid_is_refused_with_its_name(tmp_path: Path, solid: str, problem: str) -> None:
    with pytest.raises(DetectorImportError, match=problem):
        _facets(tmp_path, solid)


def test_a_boolean_that_leaves_nothing_is_refused(convert: Convert) -> None:
    solids = (
        '<box name="a" x="1" y="1" z="1"/><box name="b" x="2" y="2" z="2"/><box name="w" x="9" y="9" z="9"/>'
        '<subtraction name="s"><first ref="a"/><second ref="b"/></subtraction>'
    )
    structure = volume("none", "glass", "s") + volume("world", "water", "w", placed("none", "none"))
    with pytest.raises(DetectorImportError, match="nothing is left of 's'"):
        convert(gdml_text(solids=solids, structure=structure))
