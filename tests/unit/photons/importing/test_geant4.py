"""The converted detector has the same media along random rays as Geant4's navigator finds in the GDML itself."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from std_test_kit.boundary_rays import media_along, placed_boundaries
from std_test_kit.gdml import gdml_text, placed, tank, volume
from std_test_kit.geant4_navigation import MISSING, is_installed, media_of_geant4

Convert = Callable[..., dict[str, Any]]
N_RAYS = 1000
pytestmark = pytest.mark.skipif(not is_installed(), reason=MISSING)


def _rays(half: tuple[float, float, float], radius: float, seed: int) -> list[tuple[list[float], list[float]]]:
    """Return rays from somewhere in a box to somewhere nearer to its middle.

    They begin within a cylinder: what is round is so only to a facet's depth.
    """
    random = np.random.default_rng(seed)
    origins = random.uniform(-1, 1, (4 * N_RAYS, 3)) * half
    origins = origins[np.hypot(origins[:, 0], origins[:, 1]) < radius][:N_RAYS]
    directions = random.uniform(-0.7, 0.7, (N_RAYS, 3)) * half - origins
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return list(zip(origins.tolist(), directions.tolist(), strict=True))


def _compare(geometry: dict[str, Any], file: Path, rays: list[tuple[list[float], list[float]]], depth: float) -> int:
    """Assert that all rays meet the same media; return how many borders they met.

    `depth` is how far a facet may lie within the round surface that it stands for.
    """
    boundaries = placed_boundaries(geometry)
    n_borders = 0
    for (origin, direction), expected in zip(rays, media_of_geant4(file, rays), strict=True):
        crossings = media_along(boundaries, np.array(origin), np.array(direction))
        found = [expected[0]] + [(float(distance), behind) for distance, _, behind, _ in crossings]
        before = [name for _, name in found[:-1]]
        assert before == [one[1] for one in crossings], f"media do not follow each other along {origin}, {direction}"
        assert [name for _, name in found] == [name for _, name in expected], f"along {origin}, {direction}"
        assert np.median(np.abs(np.subtract([d for d, _ in found], [d for d, _ in expected]))) <= depth
        n_borders += len(crossings)
    return n_borders


@pytest.mark.long
def test_a_tank_with_pmts_a_vessel_and_things_on_its_floor(convert: Convert, tmp_path: Path) -> None:
    geometry = convert(tank(n_pmts=12), segments=128)
    rays = _rays((900, 900, 980), 980, seed=1)
    assert _compare(geometry, tmp_path / "detector.gdml", rays, depth=2.0) > 2 * N_RAYS


@pytest.mark.long
def test_turned_volumes_booleans_and_faces_in_common(convert: Convert, tmp_path: Path) -> None:
    """Everything flat: the same to rounding."""
    solids = """<box name="w" x="400" y="400" z="400"/><box name="case" x="100" y="80" z="60"/>
    <box name="b" x="20" y="20" z="20"/>
    <box name="slot" x="8" y="30" z="9"/><trd name="wedge" x1="20" x2="8" y1="20" y2="12" z="20"/>
    <subtraction name="slotted"><first ref="b"/><second ref="slot"/><position name="o" x="3" z="2"/>
    <rotation name="t" x="10" y="20" z="30" unit="deg"/></subtraction>
    <para name="skew" x="20" y="20" z="20" alpha="10" theta="20" phi="30" aunit="deg"/>
    <multiUnion name="pair"><multiUnionNode name="n1"><solid ref="b"/></multiUnionNode>
    <multiUnionNode name="n2"><solid ref="slot"/>
    <position name="m" x="9"/><rotation name="k" x="40" y="50" z="60" unit="deg"/></multiUnionNode></multiUnion>"""
    content = (
        placed("one", "block", at='x="-40" y="-30" z="-20"') + placed("two", "wedge", at='x="-40" y="-30"')
        + placed("three", "block", at='x="-20" y="-30" z="-20"') + placed("four", "slotted", at='x="10" z="-20"')
        + placed("five", "skew", at='x="20" y="25"', turned='x="10" y="30" z="70" unit="deg"')
        + placed("six", "block", at='x="40" y="-30" z="20"') + placed("seven", "pair", at='x="-10" y="15"')
    )  # fmt: skip
    structure = (
        volume("block", "air", "b") + volume("wedge", "water", "wedge") + volume("slotted", "air", "slotted")
        + volume("skew", "air", "skew") + volume("pair", "air", "pair") + volume("case", "glass", "case", content)
        + volume("beside", "water", "b")
        + volume("world", "air", "w",
                 placed("case1", "case", at='x="-60"', turned='x="20" y="50" z="-70" unit="deg"')
                 + placed("case2", "case", at='x="90" y="30"', turned='z="90" unit="deg"')
                 + placed("beside", "beside", at='x="100" y="90"'))
    )  # fmt: skip
    geometry = convert(gdml_text(solids=solids, structure=structure))
    rays = _rays((120, 90, 50), 1e9, seed=2)
    assert _compare(geometry, tmp_path / "detector.gdml", rays, depth=1e-6) > 2 * N_RAYS


def test_parts_of_turns(convert: Convert, tmp_path: Path) -> None:
    solids = """<box name="w" x="300" y="300" z="300"/>
    <polycone name="cup" startphi="20" deltaphi="130" aunit="deg"><zplane rmin="5" rmax="30" z="-20"/>
    <zplane rmin="10" rmax="30" z="0"/><zplane rmin="10" rmax="20" z="25"/></polycone>
    <polyhedra name="nut" startphi="10" deltaphi="360" numsides="6" aunit="deg"><zplane rmin="4" rmax="20" z="-10"/>
    <zplane rmin="8" rmax="20" z="10"/></polyhedra>
    <sphere name="dome" rmin="20" rmax="30" startphi="-40" deltaphi="200" starttheta="20" deltatheta="60" aunit="deg"/>
    <torus name="bend" rmin="5" rmax="8" rtor="30" startphi="30" deltaphi="100" aunit="deg"/>"""
    structure = (
        volume("cup", "glass", "cup") + volume("nut", "water", "nut") + volume("dome", "water", "dome")
        + volume("bend", "glass", "bend")
        + volume("world", "air", "w", placed("cup", "cup", at='x="30"', turned='y="20" unit="deg"')
                 + placed("nut", "nut", at='x="-50"') + placed("dome", "dome", at='z="60"')
                 + placed("bend", "bend", at='z="-50"'))
    )  # fmt: skip
    geometry = convert(gdml_text(solids=solids, structure=structure), segments=96)
    rays = _rays((50, 40, 80), 1e9, seed=4)
    assert _compare(geometry, tmp_path / "detector.gdml", rays, depth=0.1) > N_RAYS / 2
