"""Solids of a geometry file as triangles, to be drawn."""

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from std_daq.photons.geometry.file import GeometryFile
from std_daq.photons.geometry.meshes import triangles_of_file
from std_daq.photons.geometry.solid_sections import Box, Cylinder, Disc, Mesh, Rectangle, Revolved, Solid, Sphere

ROUND = 72
"""Facets a turn of what is drawn round."""

Triangles = NDArray[np.float64]
"""Shape (n, 3, 3), in mm."""

Kind = Literal["plain", "covered", "detecting"]
"""What a boundary is drawn as: without a surface, with one, with one that detects light."""


def kind_of(geometry: GeometryFile, solid: Solid) -> Kind:
    """Return what a solid is drawn as."""
    names = [solid.surface, *(face.surface for face in solid.faces.values())]
    surfaces = [geometry.surfaces[name] for name in names if name is not None]
    tables = [getattr(surface, key, None) for surface in surfaces for key in ("detect", "efficiency")]
    if any(table is not None and max(table.value) > 0 for table in tables):
        return "detecting"
    return "covered" if surfaces else "plain"


def solid_triangles(solid: Solid, folder: Path, *, facets: int = ROUND) -> Triangles:
    """Return a solid as triangles, where it stands.

    Parameters
    ----------
    folder
        That of the geometry file, for meshes in files.
    facets
        In a turn of what is round; a profile has its own.
    """
    return np.asarray(_own_triangles(solid, folder, facets) @ solid.turn.T + solid.position)


def _own_triangles(solid: Solid, folder: Path, facets: int) -> Triangles:
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
    profile, segments = _profile(solid, facets)
    return _turned(profile, segments)


def _profile(solid: Solid, facets: int) -> tuple[NDArray[np.float64], int]:
    if isinstance(solid, Revolved):
        return np.asarray(solid.profile), solid.segments
    if isinstance(solid, Cylinder):
        half = solid.height / 2
        return np.array([[0, -half], [solid.radius, -half], [solid.radius, half], [0, half]]), facets
    if isinstance(solid, Disc):
        return np.array([[solid.radius, 0], [0, 0]]), facets
    if isinstance(solid, Sphere):
        angles = np.linspace(-np.pi / 2, np.pi / 2, facets // 2 + 1)
        return solid.radius * np.column_stack([np.cos(angles), np.sin(angles)]), facets
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
