"""Cuts through a detector: where its boundaries meet a plane, and where its channels are."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from std_daq.photons.geometry.file import GeometryFile
from std_daq.photons.geometry.meshes import triangles_of_file
from std_daq.photons.geometry.solid_sections import Box, Cylinder, Disc, Mesh, Rectangle, Revolved, Solid, Sphere

ROUND = 72
"""Facets a turn of what is drawn round."""

_IN_PLANE = 1e-6  # mm

Triangles = NDArray[np.float64]
"""Shape (n, 3, 3), in mm."""


@dataclass(frozen=True, slots=True)
class SectionLines:
    """Lines in which boundaries meet a plane, shape (n, 2, 2), in mm.

    Parameters
    ----------
    detecting
        Of boundaries that detect light.
    covered
        Of those with another surface.
    plain
        Of those without.
    """

    detecting: NDArray[np.float64]
    covered: NDArray[np.float64]
    plain: NDArray[np.float64]


def section_lines(geometry: GeometryFile, *, axis: int, offset: float, folder: Path) -> SectionLines:
    """Cut all boundaries with a plane.

    Parameters
    ----------
    axis, offset
        The plane across x, y or z (0, 1, 2) at this place in mm; lines have the other two axes in order.
    folder
        That of the geometry file, for meshes in files.
    """
    lines: dict[str, list[NDArray[np.float64]]] = {"detecting": [], "covered": [], "plain": []}
    for solid in geometry.solids:
        triangles = _triangles(solid, folder) @ solid.turn.T + solid.position
        lines[_kind(geometry, solid)].append(_cut(triangles, axis, offset))
    for kind, triangles in _triangles_of_arrays(geometry, axis, offset, folder):
        lines[kind].append(_cut(triangles, axis, offset))
    return SectionLines(**{kind: np.concatenate([np.empty((0, 2, 2)), *found]) for kind, found in lines.items()})


def channel_positions(geometry: GeometryFile) -> NDArray[np.float64]:
    """Return where each channel is, shape (n, 3)."""
    places: dict[int, NDArray[np.float64]] = {}
    for solid in geometry.solids:
        if solid.channel is not None:
            places[solid.channel] = solid.position if solid.channel_position is None else solid.channel_position
    for array in geometry.arrays:
        if array.first_channel is not None:
            told = array.positions if array.channel_positions is None else array.channel_positions
            places |= {array.first_channel + number: place for number, place in enumerate(told)}
    return np.array([places[channel] for channel in sorted(places)]).reshape(-1, 3)


def unrolled(positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return where channels are if the wall is cut open and laid flat, with the caps above and below; shape (n, 2).

    The wall's middle is at azimuth 0. The caps are hinged to it there.
    """
    if not len(positions):
        return np.empty((0, 2))
    x, y, z = positions.T
    radii = np.hypot(x, y)
    reach, low, high = radii.max(), z.min(), z.max()
    flat = np.column_stack([np.arctan2(y, x) * reach, z])
    for end, side in ((high, 1), (low, -1)):
        is_end = np.abs(z - end) <= 1e-3 * (high - low)
        if np.ptp(radii[is_end]) > 0.1 * reach:  # a ring would be the wall's last row
            flat[is_end] = np.column_stack([y, end + side * (1.1 * reach - x)])[is_end]
    return flat


def _triangles_of_arrays(
    geometry: GeometryFile, axis: int, offset: float, folder: Path
) -> Iterator[tuple[str, Triangles]]:
    """Yield the triangles of those places of parts that the plane may meet: few of thousands."""
    for array in geometry.arrays:
        for solid in geometry.parts[array.part]:
            triangles = _triangles(solid, folder) @ solid.turn.T + solid.position
            reach = np.linalg.norm(triangles, axis=2).max()
            near = np.flatnonzero(np.abs(array.positions[:, axis] - offset) <= reach)
            for place, turn in zip(array.positions[near], array.turns[near], strict=True):
                yield _kind(geometry, solid), triangles @ turn.T + place


def _kind(geometry: GeometryFile, solid: Solid) -> str:
    names = [solid.surface, *(face.surface for face in solid.faces.values())]
    surfaces = [geometry.surfaces[name] for name in names if name is not None]
    tables = [getattr(surface, key, None) for surface in surfaces for key in ("detect", "efficiency")]
    if any(table is not None and max(table.value) > 0 for table in tables):
        return "detecting"
    return "covered" if surfaces else "plain"


def _cut(triangles: Triangles, axis: int, offset: float) -> NDArray[np.float64]:
    """Return the lines in which triangles meet a plane."""
    across = triangles[:, :, axis] - offset
    across = np.where(np.abs(across) < _IN_PLANE, _IN_PLANE, across)  # a corner in the plane lies on one side of it
    above = across > 0
    meets = np.flatnonzero(above.any(axis=1) & ~above.all(axis=1))
    triangles, across, above = triangles[meets], across[meets], above[meets]
    # The corner that is alone on its side: both lines to the others cross the plane.
    alone = np.where(above.sum(axis=1) == 1, above.argmax(axis=1), above.argmin(axis=1))
    rows = np.arange(len(meets))
    ends = []
    for step in (1, 2):
        other = (alone + step) % 3
        share = across[rows, alone] / (across[rows, alone] - across[rows, other])
        begin = triangles[rows, alone]
        ends.append(begin + share[:, None] * (triangles[rows, other] - begin))
    return np.asarray(np.stack(ends, axis=1)[:, :, [one for one in range(3) if one != axis]])


def _triangles(solid: Solid, folder: Path) -> Triangles:
    """Return a solid as triangles in its own coordinates."""
    if isinstance(solid, Mesh):
        if solid.file is not None:
            vertices, triangles = triangles_of_file(folder / solid.file)
            return np.asarray(vertices[triangles] * solid.scale)
        if solid.vertices is not None and solid.triangles is not None:
            return np.asarray(np.asarray(solid.vertices)[np.asarray(solid.triangles)] * solid.scale)
    if isinstance(solid, Box):
        return _box(np.asarray(solid.size) / 2)
    if isinstance(solid, Rectangle):
        x, y = np.asarray(solid.size) / 2
        corners = np.array([[-x, -y, 0], [x, -y, 0], [x, y, 0], [-x, y, 0]])
        return np.asarray(corners[np.array([[0, 1, 2], [0, 2, 3]])])
    profile, segments = _profile(solid)
    return _turned(profile, segments)


def _profile(solid: Solid) -> tuple[NDArray[np.float64], int]:
    if isinstance(solid, Revolved):
        return np.asarray(solid.profile), solid.segments
    if isinstance(solid, Cylinder):
        half = solid.height / 2
        return np.array([[0, -half], [solid.radius, -half], [solid.radius, half], [0, half]]), ROUND
    if isinstance(solid, Disc):
        return np.array([[solid.radius, 0], [0, 0]]), ROUND
    if isinstance(solid, Sphere):
        angles = np.linspace(-np.pi / 2, np.pi / 2, ROUND // 2 + 1)
        return solid.radius * np.column_stack([np.cos(angles), np.sin(angles)]), ROUND
    raise TypeError(f"a {solid} is not drawn")


def _turned(profile: NDArray[np.float64], segments: int) -> Triangles:
    angles = 2 * np.pi * np.arange(segments + 1) / segments
    around = np.column_stack([np.cos(angles), np.sin(angles)])
    rings = np.concatenate(
        [profile[:, None, :1] * around, np.broadcast_to(profile[:, None, 1:], (len(profile), segments + 1, 1))], axis=2
    )
    low, high = rings[:-1], rings[1:]
    first = np.stack([low[:, :-1], low[:, 1:], high[:, 1:]], axis=2).reshape(-1, 3, 3)
    second = np.stack([low[:, :-1], high[:, 1:], high[:, :-1]], axis=2).reshape(-1, 3, 3)
    return np.concatenate([first, second])


def _box(half: NDArray[np.float64]) -> Triangles:
    signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    quads = np.array([[4, 6, 7, 5], [0, 1, 3, 2], [2, 3, 7, 6], [0, 4, 5, 1], [1, 5, 7, 3], [0, 2, 6, 4]])
    return np.asarray((signs * half)[np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])])
