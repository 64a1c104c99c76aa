"""Which faces of solids lie in one plane and may touch. Most solids touch nothing; boxes about them tell so cheaply."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from std_daq.photons.importing.detector import Transform
from std_daq.photons.importing.facets import FLATNESS, Facets

_NO_PREFERRED_DIRECTION = np.array([0.5409, 0.2771, 0.7941])

Boxes = NDArray[np.float64]
"""Shape (n, 2, 3): the lowest and the highest corner."""


@dataclass(frozen=True, slots=True, eq=False)
class PlacedFacets:
    """A solid's facets where they stand, with boxes about its faces."""

    facets: Facets
    transform: Transform
    normals: NDArray[np.float64]
    points: NDArray[np.float64]
    boxes: Boxes

    @classmethod
    def place(cls, facets: Facets, transform: Transform) -> "PlacedFacets":
        """Return the facets moved."""
        corners = transform.apply(facets.corners().reshape(-1, 3)).reshape(-1, 3, 3)
        starts = facets.starts
        low = np.minimum.reduceat(corners.min(axis=1), starts)
        high = np.maximum.reduceat(corners.max(axis=1), starts)
        return cls(
            facets, transform, facets.normals @ transform.rotation.T, corners[starts, 0], np.stack([low, high], axis=1)
        )


def touching_faces(first: PlacedFacets, second: PlacedFacets) -> NDArray[np.int64]:
    """Return pairs of faces that lie in one plane and whose boxes meet, shape (n, 2)."""
    around = [(one.boxes[:, 0].min(axis=0), one.boxes[:, 1].max(axis=0)) for one in (first, second)]
    mine = np.flatnonzero(_meets(first.boxes, *around[1]))
    yours = np.flatnonzero(_meets(second.boxes, *around[0]))
    if not len(mine) or not len(yours):
        return np.empty((0, 2), dtype=np.int64)
    i, j = _parallel(first.normals[mine], second.normals[yours])
    i, j = mine[i], yours[j]
    distances = np.abs(((first.points[i] - second.points[j]) * first.normals[i]).sum(axis=1))
    meets = (
        (distances < 2 * FLATNESS)
        & (first.boxes[i, 0] <= second.boxes[j, 1] + FLATNESS).all(axis=1)
        & (second.boxes[j, 0] <= first.boxes[i, 1] + FLATNESS).all(axis=1)
    )
    return np.column_stack([i[meets], j[meets]])


def near_walls(walls: PlacedFacets, corners: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which solids may touch a wall that surrounds them.

    Parameters
    ----------
    corners
        Of boxes about the solids, shape (n, 8, 3).
    """
    low, high = corners.min(axis=1) - FLATNESS, corners.max(axis=1) + FLATNESS
    near: NDArray[np.bool_] = np.zeros(len(corners), dtype=np.bool_)
    if len(corners) <= len(walls.normals):
        for number, box in enumerate(corners):
            faces = np.flatnonzero(_meets(walls.boxes, low[number], high[number]))
            distances = ((box - walls.points[faces, None]) * walls.normals[faces, None]).sum(axis=2)
            near[number] = _straddles(distances).any()
        return near
    for normal, point, wall in zip(walls.normals, walls.points, walls.boxes, strict=True):
        solids = np.flatnonzero(_meets(np.stack([low, high], axis=1), *wall) & np.logical_not(near))
        near[solids[_straddles((corners[solids] - point) @ normal)]] = True
    return near


def crosses(walls: PlacedFacets, solid: PlacedFacets, segments: int) -> bool:
    """Whether a solid has corners out of a wall's facets, and still within the round wall that they stand for.

    The wall is round about z, and its facets' corners lie on it.
    """
    corners = solid.transform.apply(solid.facets.vertices)
    for normal, point, box in zip(walls.normals, walls.points, walls.boxes, strict=True):
        depth = np.hypot(*np.abs(box[:, :2]).max(axis=0)) * (1 - np.cos(np.pi / segments))
        beyond = (corners - point) @ normal
        inside = ((corners >= box[0] - depth) & (corners <= box[1] + depth)).all(axis=1)
        if ((beyond > FLATNESS) & (beyond < depth) & inside).any():
            return True
    return False


def near_pairs(corners: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Return pairs of solids whose boxes meet, the lower number first.

    Parameters
    ----------
    corners
        Of boxes about the solids, not axis-parallel, shape (n, 8, 3).
    """
    low, high = corners.min(axis=1) - FLATNESS, corners.max(axis=1)
    order = np.argsort(low[:, 0], kind="stable")
    ends = np.searchsorted(low[order, 0], high[order, 0], side="right")
    pairs = []
    for place, end in enumerate(ends):
        i, others = order[place], order[place + 1 : end]
        meets = others[(low[others] <= high[i]).all(axis=1) & (low[i] <= high[others]).all(axis=1)]
        pairs += [(min(int(i), int(j)), max(int(i), int(j))) for j in meets if _boxes_meet(corners[i], corners[j])]
    return sorted(pairs)


def _parallel(first: NDArray[np.float64], second: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return pairs of normals that are parallel, whichever way they point.

    Round solids have thousands of normals. Along some direction that no solid prefers, nearly all differ.
    """
    keys, others = np.abs(first @ _NO_PREFERRED_DIRECTION), np.abs(second @ _NO_PREFERRED_DIRECTION)
    order = np.argsort(others, kind="stable")
    begin = np.searchsorted(others[order], keys - 2 * FLATNESS)
    n = np.searchsorted(others[order], keys + 2 * FLATNESS) - begin
    i = np.repeat(np.arange(len(keys)), n)
    j = order[np.arange(len(i)) - np.repeat(np.cumsum(n) - n, n) + np.repeat(begin, n)]
    # 1 - cos of a small angle is half its square.
    parallel = np.abs((first[i] * second[j]).sum(axis=1)) > 1 - FLATNESS**2
    return i[parallel], j[parallel]


def _straddles(distances: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell of which boxes some corner may lie in the plane, or corners lie on both sides."""
    return np.asarray((distances.min(axis=-1) <= FLATNESS) & (distances.max(axis=-1) >= -FLATNESS))


def _meets(boxes: Boxes, low: NDArray[np.float64], high: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.asarray((boxes[:, 0] <= high + FLATNESS).all(axis=1) & (boxes[:, 1] >= low - FLATNESS).all(axis=1))


def _boxes_meet(first: NDArray[np.float64], second: NDArray[np.float64]) -> bool:
    """Whether no axis of either box separates them; corners are ordered as x, y, z count through."""
    for one in (first, second):
        axes = np.array([one[4] - one[0], one[2] - one[0], one[1] - one[0]])
        lengths = np.linalg.norm(axes, axis=1, keepdims=True)
        axes = axes / np.where(lengths > 0, lengths, 1)
        a, b = first @ axes.T, second @ axes.T
        if ((a.min(axis=0) > b.max(axis=0) + FLATNESS) | (b.min(axis=0) > a.max(axis=0) + FLATNESS)).any():
            return False
    return True


def box_corners(facets: Facets) -> NDArray[np.float64]:
    """Return the corners of the box about a solid, shape (8, 3)."""
    low, high = facets.vertices.min(axis=0), facets.vertices.max(axis=0)
    choice = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)])
    corners: NDArray[np.float64] = np.where(choice, high, low)
    return corners
