"""Cuts through a detector: where its boundaries meet a plane, and where its channels are."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from std_daq.photons.display.triangles import Triangles, kind_of, solid_triangles
from std_daq.photons.geometry.file import GeometryFile

_IN_PLANE = 1e-6  # mm


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
        triangles = solid_triangles(solid, folder)
        lines[kind_of(geometry, solid)].append(_cut(triangles, axis, offset))
    for kind, triangles in _triangles_of_arrays(geometry, axis, offset, folder):
        lines[kind].append(_cut(triangles, axis, offset))
    return SectionLines(**{kind: np.concatenate([np.empty((0, 2, 2)), *found]) for kind, found in lines.items()})


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
            triangles = solid_triangles(solid, folder)
            reach = np.linalg.norm(triangles, axis=2).max()
            near = np.flatnonzero(np.abs(array.positions[:, axis] - offset) <= reach)
            for place, turn in zip(array.positions[near], array.turns[near], strict=True):
                yield kind_of(geometry, solid), triangles @ turn.T + place


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
