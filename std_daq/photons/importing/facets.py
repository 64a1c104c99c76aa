"""Facets: the surface of a solid as triangles, grouped to flat faces and to the patches that the solid consists of."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FLATNESS = 1e-4
"""Normals that differ by less, in radian, and planes that are nearer, in mm, are the same."""


@dataclass(frozen=True, slots=True, eq=False)
class Facets:
    """A closed surface.

    Parameters
    ----------
    vertices
        Shape (n, 3), in mm.
    triangles
        Indices of vertices, shape (n, 3), seen from outside against the clock; ordered by face.
    face_of_triangle
        Shape (n triangles,), rising from 0.
    normals
        Of the faces, outward, shape (n faces, 3).
    patch_of_face
        Shape (n faces,): the side of a box, the edge of a profile; what belongs to no patch has -1.
    """

    vertices: NDArray[np.float64]
    triangles: NDArray[np.int64]
    face_of_triangle: NDArray[np.int64]
    normals: NDArray[np.float64]
    patch_of_face: NDArray[np.int64]

    @property
    def n_faces(self) -> int:
        """How many flat faces there are."""
        return len(self.normals)

    @property
    def starts(self) -> NDArray[np.int64]:
        """The first triangle of each face."""
        return np.searchsorted(self.face_of_triangle, np.arange(self.n_faces))

    def corners(self) -> NDArray[np.float64]:
        """Return the vertices of each triangle, shape (n, 3, 3)."""
        return self.vertices[self.triangles]

    def triangles_of(self, faces: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the triangles of some faces, as indices of vertices."""
        return self.triangles[np.isin(self.face_of_triangle, faces)]

    def loops_of(self, face: int) -> list[NDArray[np.int64]]:
        """Return the outlines of a face as indices of vertices: outer ones against the clock, holes with it."""
        triangles = self.triangles[self.face_of_triangle == face]
        edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
        directed = {(int(a), int(b)) for a, b in edges}
        following: dict[int, list[int]] = {}
        for a, b in sorted(directed):
            if (b, a) not in directed:
                following.setdefault(a, []).append(b)
        loops = []
        while following:
            first = next(iter(following))
            loop = [first]
            while (at := _take(following, loop[-1])) is not None and at != first:
                loop.append(at)
            loops.append(np.array(loop))
        return loops


def _take(following: dict[int, list[int]], vertex: int) -> int | None:
    behind = following.get(vertex)
    if not behind:
        return None
    taken = behind.pop()
    if not behind:
        del following[vertex]
    return taken


def make_facets(
    vertices: NDArray[np.float64],
    triangles: NDArray[np.int64],
    face_of_triangle: NDArray[np.int64],
    patch_of_triangle: NDArray[np.int64],
) -> Facets:
    """Return the facets of triangles that already know their faces; triangles without area are left out."""
    corners = vertices[triangles]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    doubled_areas = np.linalg.norm(across, axis=1)
    lengths = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
    kept = doubled_areas > 1e-9 * lengths  # thinner than a nanometre
    triangles, across, patches = triangles[kept], across[kept], patch_of_triangle[kept]
    _, faces = np.unique(face_of_triangle[kept], return_inverse=True)
    order = np.argsort(faces, kind="stable")
    faces = faces[order]
    n_faces = int(faces[-1]) + 1 if len(faces) else 0
    normals = np.zeros((n_faces, 3))
    np.add.at(normals, faces, across[order])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    patch_of_face = np.full(n_faces, -1)
    patch_of_face[faces] = patches[order]
    return Facets(vertices, triangles[order], faces, normals, patch_of_face)


def facets_of_mesh(vertices: NDArray[np.float64], triangles: NDArray[np.int64]) -> Facets:
    """Return the facets of a mesh: triangles in one plane that share edges are a face. Equal vertices become one."""
    vertices, index = np.unique(np.round(vertices, 9), axis=0, return_inverse=True)
    triangles = index.reshape(-1)[triangles]
    triangles = triangles[(triangles != np.roll(triangles, 1, axis=1)).all(axis=1)]
    return make_facets(vertices, triangles, _flat_regions(vertices, triangles), np.full(len(triangles), -1))


def _flat_regions(vertices: NDArray[np.float64], triangles: NDArray[np.int64]) -> NDArray[np.int64]:
    corners = vertices[triangles]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.linalg.norm(across, axis=1)
    normals = across / np.maximum(lengths, 1e-300)[:, None]
    neighbours: dict[tuple[int, int], int] = {
        (int(a), int(b)): number for number, (i, j, k) in enumerate(triangles) for a, b in ((i, j), (j, k), (k, i))
    }
    regions = np.full(len(triangles), -1)
    for seed in np.argsort(-lengths, kind="stable"):  # large triangles know the plane best
        if regions[seed] >= 0:
            continue
        regions[seed] = seed
        waiting = [int(seed)]
        while waiting:
            i, j, k = triangles[waiting.pop()]
            for edge in ((j, i), (k, j), (i, k)):
                other = neighbours.get((int(edge[0]), int(edge[1])))
                if other is not None and regions[other] < 0 and _is_in_plane(normals, corners, int(seed), other):
                    regions[other] = seed
                    waiting.append(other)
    return regions


def _is_in_plane(normals: NDArray[np.float64], corners: NDArray[np.float64], seed: int, other: int) -> bool:
    if np.abs((corners[other] - corners[seed, 0]) @ normals[seed]).max() > FLATNESS:
        return False
    # A sliver's own normal means nothing: that its corners lie in the plane is enough.
    return bool(normals[seed] @ normals[other] > 0.5 or np.linalg.norm(normals[other]) < 0.5)
