"""Cuts through a detector: lines have the lengths of the outlines."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from std_daq.photons.display.sections import section_lines, unrolled
from std_daq.photons.geometry.load import check_geometry

NOWHERE = Path("/nowhere")


def _lengths(
    solid: dict[str, Any], axis: int, offset: float, surfaces: dict[str, Any] | None = None
) -> dict[str, float]:
    document = {
        "format": "std-sim-geometry", "version": 1, "materials": {"water": {}, "air": {}}, "surfaces": surfaces or {},
        "solids": [{"inner": "air", "outer": "water"} | solid],
    }  # fmt: skip
    lines = section_lines(check_geometry(document), axis=axis, offset=offset, folder=NOWHERE)
    return {
        kind: float(np.linalg.norm(found[:, 1] - found[:, 0], axis=1).sum())
        for kind in ("detecting", "covered", "plain")
        if len(found := getattr(lines, kind))
    }


@pytest.mark.parametrize(
    ("solid", "axis", "offset", "length"),
    [
        ({"shape": "sphere", "radius": 10}, 1, 0, 2 * np.pi * 10),
        ({"shape": "sphere", "radius": 10}, 2, 6, 2 * np.pi * 8),
        ({"shape": "sphere", "radius": 10, "position": [0, 20, 0]}, 1, 0, 0),
        ({"shape": "cylinder", "radius": 10, "height": 30}, 1, 0, 2 * (20 + 30)),
        ({"shape": "cylinder", "radius": 10, "height": 30}, 2, 1, 2 * np.pi * 10),
        ({"shape": "cylinder", "radius": 10, "height": 30, "direction": [1, 0, 0]}, 2, 0, 2 * (20 + 30)),
        ({"shape": "box", "size": [2, 4, 6]}, 0, 0.5, 2 * (4 + 6)),
        ({"shape": "box", "size": [2, 4, 6]}, 2, 0, 2 * (2 + 4)),
        ({"shape": "disc", "radius": 10}, 1, 0, 20),
        ({"shape": "rectangle", "size": [2, 4]}, 0, 0, 4),
        ({"shape": "revolved", "profile": [[0, -5], [5, 0], [0, 5]], "segments": 64}, 1, 0, 4 * 50**0.5),
        ({"shape": "mesh", "vertices": [[0, 0, 0], [4, 0, 0], [0, 4, 0], [0, 0, 4]],
          "triangles": [[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]]}, 2, 2, 2 + 2 + 8**0.5),
    ],
)  # fmt: skip
def test_lines_are_as_long_as_the_outline(solid: dict[str, Any], axis: int, offset: float, length: float) -> None:
    assert sum(_lengths(solid, axis, offset).values()) == pytest.approx(length, rel=2e-3)


@pytest.mark.parametrize(
    ("surface", "kind"), [({"detect": 0.2}, "detecting"), ({"absorb": 1}, "covered"), ({"detect": 0}, "covered")]
)
def test_lines_are_told_apart_by_what_the_surface_does(surface: dict[str, Any], kind: str) -> None:
    solid = {"shape": "box", "size": [2, 2, 2], "surface": "s"}
    assert set(_lengths(solid, 2, 0, {"s": surface})) == {kind}


def test_parts_are_cut_where_they_stand() -> None:
    document = {
        "format": "std-sim-geometry", "version": 1, "materials": {"water": {}},
        "solids": [{"shape": "disc", "radius": 1, "inner": "water", "outer": "water", "channel": 2,
                    "position": [7, 8, 9]}],
        "parts": {"pmt": [{"shape": "disc", "radius": 10, "inner": "water", "outer": "water", "position": [0, 0, 5]}]},
        "arrays": [{"part": "pmt", "positions": [[0, 0, 0], [0, 100, 0]], "directions": [[1, 0, 0], [0, 0, 1]],
                    "first_channel": 0, "channel_positions": [[1, 2, 3], [4, 5, 6]]}],
    }  # fmt: skip
    geometry = check_geometry(document)
    lines = section_lines(geometry, axis=1, offset=0, folder=NOWHERE).plain.reshape(-1, 2)
    np.testing.assert_allclose([lines.min(axis=0), lines.max(axis=0)], [[5, -10], [5, 10]], atol=1e-5)


def test_the_wall_is_laid_flat_with_the_caps_above_and_below() -> None:
    places = np.array([[10, 0, 0], [0, 10, 2], [0, 0, 5], [9, 0, 5], [0, 0, -5], [0, 9, -5]], float)
    flat = unrolled(places)
    np.testing.assert_allclose(flat[:2], [[0, 0], [10 * np.pi / 2, 2]])
    np.testing.assert_allclose(flat[2:], [[0, 16], [0, 7], [0, -16], [9, -16]])


def test_a_ring_at_the_top_is_no_cap() -> None:
    angles = np.linspace(0, 6, 8)
    places = np.column_stack([np.cos(angles), np.sin(angles), np.repeat([1.0, 2.0], 4)])
    assert unrolled(places)[:, 1].tolist() == [1] * 4 + [2] * 4
    assert unrolled(np.empty((0, 3))).shape == (0, 2)
