"""Pieces of surface as solids of the geometry file: analytic where a solid is whole, else profiles or meshes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from std_daq.photons.importing.detector import Transform
from std_daq.photons.importing.facets import Facets
from std_daq.photons.importing.optics import Boundary
from std_daq.photons.importing.solids import BoxSolid, Turned, VolumeSolid
from std_daq.photons.importing.tables import Json


@dataclass(frozen=True, slots=True, eq=False)
class BoundedPiece:
    """A piece of a solid's surface, with what it bounds.

    Parameters
    ----------
    owner
        Pieces of one owner belong to one solid.
    faces
        Whole faces of the solid; or
    triangles
        in the same coordinates as `transform` leads to, shape (n, 3, 3).
    """

    owner: tuple[int, ...]
    solid: VolumeSolid
    facets: Facets
    transform: Transform
    boundary: Boundary
    faces: NDArray[np.int64] | None
    triangles: NDArray[np.float64] | None


def solids_of(pieces: list[BoundedPiece], segments: int) -> list[Json]:
    """Return solids in the order of the pieces' owners."""
    owned: dict[tuple[int, ...], list[BoundedPiece]] = {}
    for piece in pieces:
        owned.setdefault(piece.owner, []).append(piece)
    return [one for owner in owned.values() for one in _Owner(owner, segments).solids()]


class _Owner:
    """All pieces of one solid."""

    def __init__(self, pieces: list[BoundedPiece], segments: int) -> None:
        first = pieces[0]
        self._pieces, self._segments = pieces, segments
        self._solid, self._facets, self._transform = first.solid, first.facets, first.transform
        self._keys = list(dict.fromkeys(one.boundary for one in pieces))
        self._key_of_face = np.full(self._facets.n_faces, -1)
        for piece in pieces:
            if piece.faces is not None:
                self._key_of_face[piece.faces] = self._keys.index(piece.boundary)

    def solids(self) -> list[Json]:
        is_cut = any(piece.triangles is not None for piece in self._pieces)
        found = None if is_cut else self._whole() or self._turned()
        return found or self._meshes()

    def _whole(self) -> list[Json] | None:
        """Return a box or a cylinder."""
        if len(self._keys) > 1 or (self._key_of_face < 0).any():
            return None
        solid = self._solid
        if isinstance(solid, BoxSolid):
            return [self._entry(0, {"shape": "box", "size": [float(one) for one in solid.size]})]
        if isinstance(solid, Turned) and solid.is_cylinder:
            profile = solid.profiles(self._segments)[0]
            radius, height = float(profile[:, 0].max()), float(np.ptp(profile[:, 1]))
            return [self._entry(0, {"shape": "cylinder", "radius": radius, "height": height})]
        return None

    def _turned(self) -> list[Json] | None:
        """Return spheres and profiles; None if an edge of a profile is not the same all round."""
        solid = self._solid
        if not isinstance(solid, Turned) or not solid.is_whole_turn:
            return None
        found: list[Json] = []
        first = 0
        for profile in solid.profiles(self._segments):
            keys = [self._key_of_edge(first + edge) for edge in range(len(profile))]
            first += len(profile)
            if None in keys:
                return None
            for key, points in _chains(profile, [-1 if key is None else key for key in keys]):
                found.append(self._entry(key, _sphere(points, solid) or self._revolved(points)))
        return found

    def _key_of_edge(self, edge: int) -> int | None:
        keys = np.unique(self._key_of_face[self._facets.patch_of_face == edge])
        return -1 if len(keys) == 0 else int(keys[0]) if len(keys) == 1 else None

    def _revolved(self, points: NDArray[np.float64]) -> Json:
        return {"shape": "revolved", "profile": _listed(points), "segments": self._segments}

    def _meshes(self) -> list[Json]:
        return [self._mesh(number) for number in range(len(self._keys))]

    def _mesh(self, number: int) -> Json:
        faces = np.flatnonzero(self._key_of_face == number)
        corners = [self._transform.apply(self._facets.vertices)[self._facets.triangles_of(faces)]]
        corners += [
            piece.triangles
            for piece in self._pieces
            if piece.triangles is not None and piece.boundary == self._keys[number]
        ]
        vertices, triangles = np.unique(np.concatenate(corners).reshape(-1, 3), axis=0, return_inverse=True)
        mesh = {"shape": "mesh", "vertices": _listed(vertices), "triangles": triangles.reshape(-1, 3).tolist()}
        return self._with_sides(number, mesh)

    def _entry(self, number: int, shape: Json) -> Json:
        return self._with_sides(number, shape | placed(self._transform))

    def _with_sides(self, number: int, shape: Json) -> Json:
        boundary = self._keys[number]
        sides: Json = {"inner": boundary.inner, "outer": boundary.outer}
        if shape.get("is_inside_out"):
            sides = {"inner": boundary.outer, "outer": boundary.inner}
        if boundary.surface is not None:
            sides["surface"] = boundary.surface
        return {key: value for key, value in shape.items() if key != "is_inside_out"} | sides


def is_analytic(solid: VolumeSolid) -> bool:
    """Whether a solid has an exact counterpart, if nothing touches it."""
    return isinstance(solid, BoxSolid) or (
        isinstance(solid, Turned) and (solid.is_cylinder or bool(solid.sphere_radii))
    )


def placed(transform: Transform) -> Json:
    """Return the keys that say where something stands; none for what is not moved."""
    keys: Json = {}
    if transform.position.any():
        keys["position"] = _listed(transform.position)
    if not is_unturned(transform):
        keys["rotation"] = _listed(transform.rotation)
    return keys


def is_unturned(transform: Transform) -> bool:
    """Whether a transform leaves directions as they are, but for rounding."""
    return bool(np.abs(transform.rotation - np.eye(3)).max() < 1e-15)


def _listed(numbers: NDArray[np.float64]) -> list[object]:
    listed: list[object] = (numbers + 0.0).tolist()  # -0.0 becomes 0.0
    return listed


def _sphere(points: NDArray[np.float64], solid: Turned) -> Json | None:
    radius = next((one for one in solid.sphere_radii if np.abs(np.hypot(*points.T) - one).max() < 1e-9), None)
    if radius is None or points[0, 0] or points[-1, 0]:
        return None
    return {"shape": "sphere", "radius": radius, "is_inside_out": bool(points[0, 1] > points[-1, 1])}


def _chains(profile: NDArray[np.float64], keys: list[int]) -> list[tuple[int, NDArray[np.float64]]]:
    """Return the runs of a closed outline's edges that have one key, as points; edges without a key are left out."""
    n = len(profile)
    begin = next((edge for edge in range(n) if keys[edge] != keys[edge - 1]), 0)
    chains: list[tuple[int, list[int]]] = []
    for step in range(n):
        edge = (begin + step) % n
        if keys[edge] < 0:
            continue
        if chains and chains[-1][0] == keys[edge] and chains[-1][1][-1] == edge:
            chains[-1][1].append((edge + 1) % n)
        else:
            chains.append((keys[edge], [edge, (edge + 1) % n]))
    return [(key, profile[points]) for key, points in chains]
