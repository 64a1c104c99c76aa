"""Solids: what a volume is made of, and its surface as facets. Lengths in mm, angles in radian."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from std_daq.photons.importing.facets import Facets, facets_of_mesh, make_facets

if TYPE_CHECKING:
    import manifold3d

TURN = 2 * math.pi
Points = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class VolumeSolid(ABC):
    """A solid with a name."""

    name: str

    @abstractmethod
    def facets(self, segments: int) -> Facets:
        """Return its surface; round surfaces have `segments` facets a turn, with their vertices on the surface."""


@dataclass(frozen=True, slots=True, eq=False)
class BoxSolid(VolumeSolid):
    """A cuboid about the origin, axis-parallel; its patches are +x, -x, +y, -y, +z, -z."""

    size: tuple[float, float, float]

    def facets(self, segments: int) -> Facets:  # noqa: ARG002  # nothing is round
        """Return twelve triangles."""
        signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
        quads = np.array([[4, 6, 7, 5], [0, 1, 3, 2], [2, 3, 7, 6], [0, 4, 5, 1], [1, 5, 7, 3], [0, 2, 6, 4]])
        triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
        sides = np.tile(np.arange(6), 2)
        return make_facets(signs * np.array(self.size) / 2, triangles, sides, sides)


@dataclass(frozen=True, slots=True)
class Arc:
    """A part of a profile that is an arc; the profile holds only where it begins and ends.

    Parameters
    ----------
    centre
        (r, z).
    """

    centre: tuple[float, float]
    radius: float
    begin: float
    end: float

    def points(self, segments: int) -> Points:
        """Return (r, z) along the arc. Points lie on one grid of angles, so that equal arcs have equal points."""
        angles = grid_angles(min(self.begin, self.end), max(self.begin, self.end), segments)
        if self.end < self.begin:
            angles = angles[::-1]
        points = np.column_stack([np.cos(angles), np.sin(angles)]) * self.radius + np.array(self.centre)
        points[np.abs(points[:, 0]) < 1e-9 * self.radius, 0] = 0
        return np.asarray(points)


@dataclass(frozen=True, slots=True, eq=False)
class Turned(VolumeSolid):
    """A profile that is turned about z: tube, cone, sphere, polycone, torus, torusstack.

    Parameters
    ----------
    loops
        Outlines in the (r, z) half plane, z up, with the solid on the left. Each is a list of points (r, z) and arcs.
    begin, angle
        Where the turn begins, and how far it goes.
    is_cylinder
        Whether it is a full cylinder about the origin.
    """

    loops: tuple[tuple[tuple[float, float] | Arc, ...], ...]
    begin: float = 0
    angle: float = TURN
    is_cylinder: bool = False

    @property
    def is_whole_turn(self) -> bool:
        """Whether there are no ends."""
        return self.angle >= TURN * (1 - 1e-12)

    @property
    def sphere_radii(self) -> set[float]:
        """Radii of arcs that make whole spheres about the origin."""
        arcs = [one for loop in self.loops for one in loop if isinstance(one, Arc)]
        return {
            arc.radius for arc in arcs if arc.centre == (0, 0) and abs(arc.end - arc.begin) >= math.pi * (1 - 1e-12)
        }

    def profiles(self, segments: int) -> list[Points]:
        """Return the outlines as closed polygons, shape (n, 2): the last point is joined to the first."""
        return [_outline(loop, segments) for loop in self.loops]

    def facets(self, segments: int) -> Facets:
        """Return a surface whose patches are the edges of the profiles, counted through all of them."""
        if self.is_whole_turn:
            angles = np.arange(segments, dtype=np.float64) * (TURN / segments)
        else:
            angles = grid_angles(self.begin, self.begin + self.angle, segments)
        return turned_facets(self.profiles(segments), angles, is_closed=self.is_whole_turn)


@dataclass(frozen=True, slots=True, eq=False)
class Polyhedra(VolumeSolid):
    """A profile that is turned in flat steps; radii are those of the corners."""

    loops: tuple[Points, ...]
    n_sides: int
    begin: float = 0
    angle: float = TURN

    def facets(self, segments: int) -> Facets:  # noqa: ARG002  # nothing is round
        """Return the flat sides."""
        is_closed = self.angle >= TURN * (1 - 1e-12)
        steps = np.arange(self.n_sides + (not is_closed), dtype=np.float64)
        angles: NDArray[np.float64] = self.begin + steps * (self.angle / self.n_sides)
        return turned_facets(list(self.loops), angles, is_closed=is_closed)


@dataclass(frozen=True, slots=True, eq=False)
class Stretched(VolumeSolid):
    """Another solid with its coordinates multiplied: elliptic tube, ellipsoid."""

    solid: VolumeSolid
    factors: tuple[float, float, float]

    def facets(self, segments: int) -> Facets:
        """Return the other solid's facets, stretched."""
        inner = self.solid.facets(segments)
        triangles = inner.triangles if math.prod(self.factors) > 0 else inner.triangles[:, ::-1]
        vertices = inner.vertices * np.array(self.factors)
        return make_facets(vertices, triangles, inner.face_of_triangle, np.full(len(triangles), -1))


@dataclass(frozen=True, slots=True, eq=False)
class Moved(VolumeSolid):
    """Another solid at another place: ``rotation @ point + position``."""

    solid: VolumeSolid
    rotation: NDArray[np.float64]
    position: NDArray[np.float64]

    def facets(self, segments: int) -> Facets:
        """Return the other solid's facets, moved."""
        inner = self.solid.facets(segments)
        vertices = inner.vertices @ self.rotation.T + self.position
        return make_facets(vertices, inner.triangles, inner.face_of_triangle, np.full(len(inner.triangles), -1))


@dataclass(frozen=True, slots=True, eq=False)
class MeshSolid(VolumeSolid):
    """A closed mesh, its triangles seen from outside against the clock."""

    vertices: Points
    triangles: NDArray[np.int64]

    def facets(self, segments: int) -> Facets:  # noqa: ARG002  # it is flat already
        """Return the mesh; triangles in one plane are one face."""
        return facets_of_mesh(self.vertices, self.triangles)


@dataclass(frozen=True, slots=True, eq=False)
class Extruded(VolumeSolid):
    """A polygon in the x-y plane, moved and scaled along z.

    Parameters
    ----------
    polygon
        Shape (n, 2).
    sections
        (z, x offset, y offset, scale), z rising.
    """

    polygon: Points
    sections: tuple[tuple[float, float, float, float], ...]

    def facets(self, segments: int) -> Facets:  # noqa: ARG002  # nothing is round
        """Return the sides and both ends."""
        import manifold3d

        around, after = self.polygon, np.roll(self.polygon, -1, axis=0)
        area = float((around[:, 0] * after[:, 1] - around[:, 1] * after[:, 0]).sum())
        polygon = self.polygon if area > 0 else self.polygon[::-1]
        n = len(polygon)
        vertices = np.concatenate(
            [np.column_stack([polygon * scale + (x, y), np.full(n, z)]) for z, x, y, scale in self.sections]
        )
        cap = manifold3d.triangulate([polygon]).astype(np.int64)
        triangles = [cap[:, ::-1], cap + n * (len(self.sections) - 1)]
        here, there = np.arange(n), np.roll(np.arange(n), -1)
        for low in range(0, n * (len(self.sections) - 1), n):
            triangles.append(np.column_stack([here, there, there + n]) + low)
            triangles.append(np.column_stack([here, there + n, here + n]) + low)
        return facets_of_mesh(vertices, np.concatenate(triangles))


@dataclass(frozen=True, slots=True, eq=False)
class Boolean(VolumeSolid):
    """Two solids together.

    Parameters
    ----------
    operation
        ``union``, ``subtraction`` or ``intersection``.
    rotation, position
        Of the second solid, as the first sees it.
    """

    operation: str
    first: VolumeSolid
    second: VolumeSolid
    rotation: NDArray[np.float64] = field(default_factory=lambda: np.eye(3))
    position: NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))

    def facets(self, segments: int) -> Facets:
        """Return the surface of the result.

        Raises
        ------
        ValueError
            If nothing is left, or a part is not closed.
        """
        return facets_of_mesh(*_mesh_of(self.manifold(segments), self.name))

    def manifold(self, segments: int) -> "manifold3d.Manifold":
        """Return the result for further booleans, which so keep their precision."""
        first = _manifold(self.first, segments)
        second = _manifold(self.second, segments).transform(np.column_stack([self.rotation, self.position]))
        operations = {"union": first.__add__, "subtraction": first.__sub__, "intersection": first.__xor__}
        return operations[self.operation](second)


def _manifold(solid: VolumeSolid, segments: int) -> "manifold3d.Manifold":
    import manifold3d

    if isinstance(solid, Boolean):
        return solid.manifold(segments)
    facets = solid.facets(segments)
    mesh = manifold3d.Mesh64(
        np.ascontiguousarray(facets.vertices), np.ascontiguousarray(facets.triangles, dtype=np.uint64)
    )
    mesh.merge()
    manifold = manifold3d.Manifold(mesh)
    if manifold.status() != manifold3d.Error.NoError:
        raise ValueError(f"the surface of '{solid.name}' is not closed")
    return manifold


def _mesh_of(manifold: "manifold3d.Manifold", name: str) -> tuple[Points, NDArray[np.int64]]:
    if manifold.is_empty():
        raise ValueError(f"nothing is left of '{name}'")
    mesh = manifold.to_mesh64()
    return np.asarray(mesh.vert_properties)[:, :3].astype(np.float64), np.asarray(mesh.tri_verts).astype(np.int64)


def grid_angles(begin: float, end: float, segments: int) -> NDArray[np.float64]:
    """Return begin, end, and between them the multiples of a turn divided by `segments`."""
    step = TURN / segments
    first, last = math.floor(begin / step + 1e-9) + 1, math.ceil(end / step - 1e-9)
    return np.array([begin, *(step * np.arange(first, last)), end])


def turned_facets(profiles: list[Points], angles: NDArray[np.float64], *, is_closed: bool) -> Facets:
    """Return the surface of closed profiles that are turned through these angles.

    Parameters
    ----------
    is_closed
        Whether the last angle is followed by the first; else both ends are closed with the profile.
    """
    n = len(angles)
    directions = np.column_stack([np.cos(angles), np.sin(angles)])
    directions = np.where(np.abs(directions) < 1e-15, 0, directions)
    here = np.arange(n if is_closed else n - 1)
    there = (here + 1) % n
    vertices, triangles, faces, patches = [], [], [], []
    n_vertices = n_faces = n_patches = 0
    for profile in profiles:
        r, z = profile[:, 0], profile[:, 1]
        around = np.concatenate([r[:, None, None] * directions, np.broadcast_to(z[:, None, None], (len(r), n, 1))], 2)
        on_axis = r == 0
        index = n_vertices + np.arange(len(r))[:, None] * n + np.where(on_axis[:, None], 0, np.arange(n))
        vertices.append(around.reshape(-1, 3))
        n_vertices += len(r) * n
        for edge in range(len(r)):
            low, high = index[edge], index[(edge + 1) % len(r)]
            if on_axis[edge] and on_axis[(edge + 1) % len(r)]:
                continue
            quads = [np.column_stack([low[here], low[there], high[there]])]
            quads.append(np.column_stack([low[here], high[there], high[here]]))
            is_flat = abs(z[edge] - z[(edge + 1) % len(r)]) < 1e-12
            sectors = np.zeros(len(here), dtype=np.int64) if is_flat else np.arange(len(here))
            triangles += quads
            faces += [n_faces + sectors] * 2
            patches += [np.full(len(here), n_patches + edge)] * 2
            n_faces += len(here)
        n_patches += len(r)
    if not is_closed:
        for cap in _end_caps(profiles, n):
            triangles.append(cap)
            faces.append(np.full(len(cap), n_faces))
            patches.append(np.full(len(cap), -1))
            n_faces += 1
    all_triangles = np.concatenate(triangles)
    real = (all_triangles != np.roll(all_triangles, 1, axis=1)).all(axis=1)
    return make_facets(
        np.concatenate(vertices), all_triangles[real], np.concatenate(faces)[real], np.concatenate(patches)[real]
    )


def _end_caps(profiles: list[Points], n: int) -> list[NDArray[np.int64]]:
    import manifold3d

    points = np.concatenate(profiles)
    flat = manifold3d.triangulate(profiles).astype(np.int64)
    column = np.where(points[:, 0] == 0, 0, n - 1)
    begin, end = flat * n, flat * n + column[flat]
    # In the (r, z) plane, r × z points against the turn: the profile as it is looks out of the beginning.
    return [begin, end[:, ::-1]]


def _outline(loop: tuple[tuple[float, float] | Arc, ...], segments: int) -> Points:
    parts = [one.points(segments) if isinstance(one, Arc) else np.array([one]) for one in loop]
    points = np.concatenate(parts)
    different = np.abs(points - np.roll(points, 1, axis=0)).max(axis=1) > 1e-9
    outline: Points = points[different]
    return outline
