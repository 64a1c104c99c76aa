"""Triangles of STL, OBJ and PLY files."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from std_daq.errors import ConfigError
from std_daq.extras import extras_explained


def triangles_of_file(path: Path) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the vertices, shape (n, 3), and the triangles, shape (m, 3), of a mesh file.

    Raises
    ------
    ConfigError
        There is no such file, or it holds no triangles.
    """
    with extras_explained():
        import trimesh
    if not path.is_file():
        raise ConfigError("there is no such mesh", file=path, remedy="paths are relative to the geometry file")
    try:
        mesh = trimesh.load_mesh(path, process=False)
        vertices, triangles = np.array(mesh.vertices, np.float64), np.array(mesh.faces, np.int64)
    except Exception as error:  # noqa: BLE001 -- trimesh raises whatever its readers of many formats raise
        raise ConfigError(f"is no mesh that can be read: {error}", file=path) from None
    if not len(triangles) or not np.isfinite(vertices).all():
        raise ConfigError("holds no triangles, or numbers that are not finite", file=path)
    return vertices, triangles
