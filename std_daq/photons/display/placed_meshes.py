"""A detector as meshes, each with the places where it stands: 11,000 sensors are one mesh and 11,000 places."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from std_daq.photons.display.triangles import Kind, Triangles, kind_of, solid_triangles
from std_daq.photons.geometry.file import GeometryFile

_FACETS = 48
_SHARE_OF_FACE = 0.25
_FACETS_OF_PARTS = 16  # there may be thousands of them


@dataclass(frozen=True, slots=True)
class PlacedMesh:
    """Triangles that stand at some places.

    Parameters
    ----------
    name
        What to call it, such as ``solids/0``.
    kind
        What its surface does.
    triangles
        Shape (n, 3, 3), in mm.
    positions, turns
        Where they stand: x' = turn x + position; shapes (m, 3) and (m, 3, 3).
    """

    name: str
    kind: Kind
    triangles: Triangles
    positions: NDArray[np.float64]
    turns: NDArray[np.float64]


def placed_meshes(geometry: GeometryFile, folder: Path) -> Iterator[PlacedMesh]:
    """Return all boundaries of a detector.

    Parameters
    ----------
    folder
        That of the geometry file, for meshes in files.
    """
    for number, solid in enumerate(geometry.solids):
        triangles = solid_triangles(solid, folder, facets=_FACETS)
        yield PlacedMesh(f"solids/{number}", kind_of(geometry, solid), triangles, np.zeros((1, 3)), np.eye(3)[None])
    for number, array in enumerate(geometry.arrays):
        for place, solid in enumerate(geometry.parts[array.part]):
            triangles = solid_triangles(solid, folder, facets=_FACETS_OF_PARTS)
            name = f"arrays/{number}/{place}"
            yield PlacedMesh(name, kind_of(geometry, solid), triangles, array.positions, np.asarray(array.turns))


def channel_radii(geometry: GeometryFile, folder: Path) -> NDArray[np.float64]:
    """Return for each channel the radius of a ball that shows it, in mm.

    The ball covers the sensor. That of a channel that is a face of a solid covers a part of the face.
    """
    radii: dict[int, float] = {}
    for solid in geometry.solids:
        reach = _reach(solid_triangles(solid, folder, facets=_FACETS_OF_PARTS), solid.position)
        faces = {face.channel: _SHARE_OF_FACE * reach for face in solid.faces.values() if face.channel is not None}
        radii |= faces if solid.channel is None else {solid.channel: reach, **faces}
    for array in geometry.arrays:
        if array.first_channel is not None:
            part = [solid_triangles(solid, folder, facets=_FACETS_OF_PARTS) for solid in geometry.parts[array.part]]
            reach = _reach(np.concatenate(part), np.zeros(3))
            radii |= dict.fromkeys(range(array.first_channel, array.first_channel + len(array.positions)), reach)
    return np.array([radii[channel] for channel in sorted(radii)])


def _reach(triangles: Triangles, centre: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(triangles - centre, axis=2).max())
