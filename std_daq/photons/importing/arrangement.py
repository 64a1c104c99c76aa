"""Faces in one plane, cut along all their outlines: each cell once, with the faces that cover it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from std_daq.photons.importing.facets import FLATNESS

if TYPE_CHECKING:
    import manifold3d

_SNAP = 1e-6  # mm; the library for polygons rounds to 1e-8

Path = tuple[int, ...]
"""A placement within a volume: the number of a placement in it, in that one's volume, and so on; () is the volume."""


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """A face that takes part.

    Parameters
    ----------
    owner
        Whose solid it belongs to.
    face
        Its number there.
    loops
        Its outlines, each of shape (n, 3), against the clock as its normal sees them.
    normal
        Away from the solid.
    """

    owner: Path
    face: int
    loops: list[NDArray[np.float64]]
    normal: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """A region of the plane.

    Parameters
    ----------
    first
        The outline that it was cut from; its normal is the cell's.
    covering
        Indices of all outlines that cover it, the first among them.
    triangles
        Shape (n, 3, 3); None where the cell is the whole face of the first.
    """

    first: int
    covering: tuple[int, ...]
    triangles: NDArray[np.float64] | None


def cut_cells(outlines: list[Outline]) -> list[Cell]:
    """Return the cells of faces in one plane.

    A cell belongs to the smallest face that covers it. Slivers thinner than the tolerance are no cells.
    """
    if len(outlines) == 2 and _are_equal(*outlines):  # round volumes that fill each other have thousands of such pairs
        return [Cell(0, (0, 1), None)]
    plane = _Plane(outlines)
    sections = [plane.section(outline) for outline in outlines]
    areas = [float(section.area()) for section in sections]
    order = sorted(range(len(outlines)), key=lambda i: (round(areas[i], 6), -len(outlines[i].owner), outlines[i].owner))
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    bounds = np.array([section.bounds() for section in sections])
    cells = []
    for i in order:
        meets = (bounds[:, :2] <= bounds[i, 2:] + FLATNESS).all(axis=1) & (
            bounds[:, 2:] >= bounds[i, :2] - FLATNESS
        ).all(axis=1)
        smaller = [int(j) for j in np.flatnonzero(meets & (rank < rank[i]))]
        larger = sorted((int(j) for j in np.flatnonzero(meets & (rank > rank[i]))), key=lambda j: rank[j])
        for region, covering in _split(_without(sections[i], [sections[j] for j in smaller]), sections, larger):
            is_whole = areas[i] - region.area() <= FLATNESS * _perimeter(sections[i])
            triangles = None if is_whole else plane.triangles(region, outlines[i].normal)
            cells.append(Cell(i, (i, *covering), triangles))
    return cells


def _are_equal(first: Outline, second: Outline) -> bool:
    """Whether two triangles, or facets of four corners, are the same."""
    if len(first.loops) != 1 or len(second.loops) != 1 or len(first.loops[0]) != len(second.loops[0]):
        return False
    if len(first.loops[0]) > 4:
        return False
    distances = np.abs(first.loops[0][:, None] - second.loops[0][None]).max(axis=2)
    return bool((distances.min(axis=1) < FLATNESS).all())


def _without(section: "manifold3d.CrossSection", others: list["manifold3d.CrossSection"]) -> "manifold3d.CrossSection":
    import manifold3d

    if not others:
        return section
    return section - manifold3d.CrossSection.batch_boolean(others, manifold3d.OpType.Add)


def _split(
    region: "manifold3d.CrossSection", sections: list["manifold3d.CrossSection"], larger: list[int]
) -> list[tuple["manifold3d.CrossSection", tuple[int, ...]]]:
    regions: list[tuple[manifold3d.CrossSection, tuple[int, ...]]] = [(region, ())] if _is_real(region) else []
    for j in larger:
        cut = []
        for one, covering in regions:
            inside, outside = one ^ sections[j], one - sections[j]
            if _is_real(inside):
                cut.append((inside if _is_real(outside) else one, (*covering, j)))
            if _is_real(outside):
                cut.append((outside if _is_real(inside) else one, covering))
        regions = cut
    return regions


def _is_real(region: "manifold3d.CrossSection") -> bool:
    """Whether a region is wider than what planes may differ by."""
    return bool(region.area() > FLATNESS * _perimeter(region) / 2)


def _perimeter(region: "manifold3d.CrossSection") -> float:
    return float(sum(np.linalg.norm(one - np.roll(one, 1, axis=0), axis=1).sum() for one in region.to_polygons()))


class _Plane:
    """The common plane: its coordinates, and the corners in space that its points came from."""

    def __init__(self, outlines: list[Outline]) -> None:
        self._normal = outlines[0].normal
        self._origin = outlines[0].loops[0][0]
        least = int(np.argmin(np.abs(self._normal)))
        u = np.cross(self._normal, np.eye(3)[least])
        u /= np.linalg.norm(u)
        self._axes = np.array([u, np.cross(self._normal, u)])
        self._corners: dict[tuple[int, int], list[tuple[NDArray[np.float64], NDArray[np.float64]]]] = {}
        for outline in outlines:
            for loop in outline.loops:
                for corner, flat in zip(loop, self._flat(loop), strict=True):
                    self._corners.setdefault(_square(flat), []).append((flat, corner))

    def section(self, outline: Outline) -> "manifold3d.CrossSection":
        import manifold3d

        return manifold3d.CrossSection([self._flat(loop) for loop in outline.loops], manifold3d.FillRule.EvenOdd)

    def triangles(self, region: "manifold3d.CrossSection", normal: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the triangles of a region in space, against the clock about a normal."""
        import manifold3d

        polygons = region.to_polygons()
        corners = np.array([self._corner(point) for polygon in polygons for point in polygon])
        triangles: NDArray[np.float64] = corners[np.asarray(manifold3d.triangulate(polygons))]
        return triangles if normal @ self._normal > 0 else triangles[:, ::-1]

    def _flat(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        flat: NDArray[np.float64] = (points - self._origin) @ self._axes.T
        return flat

    def _corner(self, point: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = _square(point)
        for square in ((x + i, y + j) for i in (0, -1, 1) for j in (0, -1, 1)):
            for flat, corner in self._corners.get(square, ()):
                if np.abs(flat - point).max() < _SNAP:
                    return corner
        nowhere_else: NDArray[np.float64] = self._origin + point @ self._axes
        return nowhere_else


def _square(point: NDArray[np.float64]) -> tuple[int, int]:
    return int(np.floor(point[0] / 1e-5)), int(np.floor(point[1] / 1e-5))
