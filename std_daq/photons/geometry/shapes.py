"""The primitives of each shape of solid, and where its faces are."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from std_daq.errors import ConfigError
from std_daq.photons.geometry.meshes import triangles_of_file
from std_daq.photons.geometry.records import CYLINDER_SIDE, DISC, RECTANGLE, SPHERE, TRIANGLE
from std_daq.photons.geometry.solid_sections import Box, Cylinder, Disc, Mesh, Rectangle, Revolved, Solid, Sphere

Pieces = list[tuple[str, int, NDArray[np.float64]]]
"""Face, kind of primitive, and its numbers; shapes without faces have one face, named ''."""

_X, _Y, _Z = np.eye(3)


def pieces_of(solid: Solid, folder: Path | None) -> Pieces:
    """Return the primitives of a solid in its own frame.

    Parameters
    ----------
    folder
        That of the geometry file, for files of meshes.
    """
    if isinstance(solid, Mesh):
        return [("", TRIANGLE, _mesh(solid, folder))]
    return _MAKERS[type(solid)](solid)


def face_centre(solid: Solid, face: str) -> NDArray[np.float64]:
    """Return the centre of a face in the detector."""
    local = np.zeros(3)
    if isinstance(solid, Box):
        axis = "xyz".index(face[1])
        local[axis] = (0.5 if face[0] == "+" else -0.5) * solid.size[axis]
    elif isinstance(solid, Cylinder) and face != "side":
        local[2] = (0.5 if face == "top" else -0.5) * solid.height
    centre: NDArray[np.float64] = solid.turn @ local + solid.position
    return centre


def _sphere(solid: Sphere) -> Pieces:
    return [("", SPHERE, np.array([0, 0, 0, solid.radius]))]


def _cylinder(solid: Cylinder) -> Pieces:
    half = solid.height / 2
    return [
        ("side", CYLINDER_SIDE, np.array([0, 0, 0, 0, 0, 1, solid.radius, half])),
        ("top", DISC, np.array([0, 0, half, 0, 0, 1, solid.radius])),
        ("bottom", DISC, np.array([0, 0, -half, 0, 0, -1, solid.radius])),
    ]


def _flat(
    centre: NDArray[np.float64], u: NDArray[np.float64], v: NDArray[np.float64], size: NDArray[np.float64]
) -> NDArray[np.float64]:
    return np.concatenate([centre, np.cross(u, v), u, v, size / 2])


def _box(solid: Box) -> Pieces:
    x, y, z = solid.size
    sides = {"x": (_X, _Y, _Z, x, y, z), "y": (_Y, _Z, _X, y, z, x), "z": (_Z, _X, _Y, z, x, y)}
    pieces: Pieces = []
    for name, (n, u, v, deep, wide, high) in sides.items():
        pieces.append((f"+{name}", RECTANGLE, _flat(n * deep / 2, u, v, np.array([wide, high]))))
        pieces.append((f"-{name}", RECTANGLE, _flat(-n * deep / 2, v, u, np.array([high, wide]))))
    return pieces


def _disc(solid: Disc) -> Pieces:
    return [("", DISC, np.array([0, 0, 0, 0, 0, 1, solid.radius]))]


def _rectangle(solid: Rectangle) -> Pieces:
    return [("", RECTANGLE, _flat(np.zeros(3), _X, _Y, np.array(solid.size)))]


def _revolved(solid: Revolved) -> Pieces:
    """Turn a profile in steps: a ring of two triangles a segment, or of one where the profile meets the axis."""
    angles = 2 * np.pi * np.arange(solid.segments + 1) / solid.segments
    turned = np.column_stack([np.cos(angles), np.sin(angles)])
    turned[-1] = turned[0]
    r, z = solid.profile.T
    points = np.empty((len(r), len(angles), 3))
    points[:, :, :2] = r[:, None, None] * turned
    points[:, :, 2] = z[:, None]
    below, above = points[:-1], points[1:]
    a, b, c, d = below[:, :-1], below[:, 1:], above[:, 1:], above[:, :-1]
    # Seen from outside, with the profile going up, a b c d runs anticlockwise.
    lower, upper = np.stack([a, b, c], axis=2), np.stack([a, c, d], axis=2)
    corners = np.concatenate([lower[r[:-1] > 0].reshape(-1, 3, 3), upper[r[1:] > 0].reshape(-1, 3, 3)])
    return [("", TRIANGLE, _triangles(corners))]


def _mesh(solid: Mesh, folder: Path | None) -> NDArray[np.float64]:
    if solid.file is not None:
        path = Path(solid.file) if folder is None else folder / solid.file
        vertices, triangles = triangles_of_file(path)
    elif solid.vertices is not None and solid.triangles is not None:
        vertices, triangles = solid.vertices, solid.triangles
    else:
        raise ConfigError("a mesh has either a file, or vertices and triangles")
    numbers = _triangles(vertices[triangles] * solid.scale)
    # A triangle without area has no normal, and no ray meets it.
    has_area = np.linalg.norm(np.cross(numbers[:, 3:6], numbers[:, 6:9]), axis=1) > 0
    if not has_area.any():
        raise ConfigError("no triangle of this mesh has an area", value=solid.file)
    solid_ones: NDArray[np.float64] = numbers[has_area]
    return solid_ones


def _triangles(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    first = corners[:, 0]
    return np.concatenate([first, corners[:, 1] - first, corners[:, 2] - first], axis=1)


_MAKERS: dict[type[Solid], Callable[..., Pieces]] = {
    Sphere: _sphere,
    Cylinder: _cylinder,
    Box: _box,
    Disc: _disc,
    Rectangle: _rectangle,
    Revolved: _revolved,
}
