"""Solids of GDML. Each function reads one kind; lengths in a file are whole, not half, but for eltube and arb8."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from std_daq.photons.importing.gdml.definitions import Definitions, defined
from std_daq.photons.importing.gdml.xml_tree import XmlNode
from std_daq.photons.importing.solids import (
    TURN,
    Arc,
    Boolean,
    BoxSolid,
    Extruded,
    MeshSolid,
    Moved,
    Polyhedra,
    Stretched,
    Turned,
    VolumeSolid,
)
from std_daq.photons.importing.torus_stack import torus_stack

ZPlane = tuple[float, float, float]


@dataclass(slots=True)
class SolidReader:
    """Reads the solids of a file.

    Attributes
    ----------
    solids
        By name, with pointer.
    """

    definitions: Definitions
    solids: dict[str, VolumeSolid] = field(default_factory=dict)
    _unknown: dict[str, XmlNode] = field(default_factory=dict)

    def read(self, node: XmlNode) -> None:
        """Take in one element; an unknown solid matters only when something refers to it."""
        name = self.definitions.name_of(node)
        if node.tag in _READERS:
            self.solids[name] = _READERS[node.tag](_SolidNode(node, self.definitions, name, self))
        elif name:
            self._unknown[name] = node

    def find(self, name: str, node: XmlNode) -> VolumeSolid:
        """Return a solid that an element refers to.

        Raises
        ------
        DetectorImportError
            If it is missing, or of a kind that cannot be converted.
        """
        if name not in self.solids and name in self._unknown:
            unknown = self._unknown[name]
            raise unknown.error(
                f"solid '{name}' is a {unknown.tag}, which cannot be converted",
                "make it of other solids, or of a tessellated one",
            )
        return defined(self.solids, name, "solid", node)


class _SolidNode:
    """An element with its units."""

    def __init__(self, node: XmlNode, definitions: Definitions, name: str, reader: SolidReader) -> None:
        self.node, self.definitions, self.name, self.reader = node, definitions, name, reader
        self.mm = definitions.unit(node, "lunit")
        self.rad = definitions.unit(node, "aunit")

    def length(self, attribute: str, default: float | None = None) -> float:
        return self.definitions.number(self.node, attribute, default) * self.mm

    def positive(self, attribute: str) -> float:
        length = self.length(attribute)
        if length <= 0:
            raise self.node.error(f"solid '{self.name}': '{attribute}' is {length:g} mm; it must be more than 0")
        return length

    def angle(self, attribute: str, default: float) -> float:
        if attribute not in self.node.attributes:
            return default
        return self.definitions.number(self.node, attribute) * self.rad

    def turn(self) -> tuple[float, float]:
        """Return where the solid begins about z, and how far it goes."""
        begin, angle = self.angle("startphi", 0.0), self.angle("deltaphi", TURN)
        if angle <= 0:
            raise self.node.error(f"solid '{self.name}': 'deltaphi' is {angle:g}; it must be more than 0")
        return (0.0, TURN) if angle >= TURN * (1 - 1e-9) else (begin, angle)

    def turned(self, points: list[tuple[float, float]], *, is_cylinder: bool = False) -> Turned:
        begin, angle = self.turn()
        if any(r < 0 for r, _ in points):
            raise self.node.error(f"solid '{self.name}' has a negative radius")
        return Turned(self.name, (_counter_clockwise(points),), begin, angle, is_cylinder and angle == TURN)

    def z_planes(self) -> list[ZPlane]:
        """Return (z, rmin, rmax) of each plane, z rising."""
        number = self.definitions.number
        nodes = [one for one in self.definitions.unrolled(self.node) if one.tag == "zplane"]
        planes = [
            (number(one, "z") * self.mm, number(one, "rmin", 0.0) * self.mm, number(one, "rmax") * self.mm)
            for one in nodes
        ]
        if len(planes) < 2:
            raise self.node.error(f"solid '{self.name}' has {len(planes)} z planes; it needs two")
        if planes[0][0] > planes[-1][0]:
            planes.reverse()
        if any(rmin > rmax for _, rmin, rmax in planes):
            raise self.node.error(f"solid '{self.name}': rmin is larger than rmax")
        return planes

    def rz_points(self) -> list[tuple[float, float]]:
        number = self.definitions.number
        nodes = [one for one in self.definitions.unrolled(self.node) if one.tag == "rzpoint"]
        return [(number(one, "r") * self.mm, number(one, "z") * self.mm) for one in nodes]


def _counter_clockwise(points: list[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    area = sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(points, [*points[1:], points[0]], strict=True))
    return tuple(points if area > 0 else points[::-1])


def _planes_outline(planes: list[ZPlane]) -> list[tuple[float, float]]:
    return [(rmax, z) for z, _, rmax in planes] + [(rmin, z) for z, rmin, _ in reversed(planes)]


def _box(solid: _SolidNode) -> VolumeSolid:
    return BoxSolid(solid.name, (solid.positive("x"), solid.positive("y"), solid.positive("z")))


def _tube(solid: _SolidNode) -> VolumeSolid:
    rmin, rmax, half = solid.length("rmin", 0.0), solid.positive("rmax"), solid.positive("z") / 2
    if rmin >= rmax:
        raise solid.node.error(f"solid '{solid.name}': rmin is not smaller than rmax")
    outline = _planes_outline([(-half, rmin, rmax), (half, rmin, rmax)])
    return solid.turned(outline, is_cylinder=rmin == 0)


def _cone(solid: _SolidNode) -> VolumeSolid:
    half = solid.positive("z") / 2
    low, high = [(solid.length(f"rmin{end}", 0.0), solid.length(f"rmax{end}")) for end in "12"]
    if low[0] > low[1] or high[0] > high[1]:
        raise solid.node.error(f"solid '{solid.name}': rmin is larger than rmax")
    return solid.turned(_planes_outline([(-half, *low), (half, *high)]))


def _polycone(solid: _SolidNode) -> VolumeSolid:
    return solid.turned(_planes_outline(solid.z_planes()))


def _generic_polycone(solid: _SolidNode) -> VolumeSolid:
    return solid.turned(solid.rz_points())


def _polyhedra(solid: _SolidNode) -> VolumeSolid:
    return _sided(solid, _planes_outline(solid.z_planes()), is_to_side=True)


def _generic_polyhedra(solid: _SolidNode) -> VolumeSolid:
    return _sided(solid, solid.rz_points(), is_to_side=False)


def _sided(solid: _SolidNode, points: list[tuple[float, float]], *, is_to_side: bool) -> VolumeSolid:
    n_sides = round(solid.definitions.number(solid.node, "numsides"))
    begin, angle = solid.turn()
    begin = solid.angle("startphi", 0.0)
    if not 1 <= n_sides <= 100_000 or angle / n_sides >= math.pi:
        raise solid.node.error(f"solid '{solid.name}': {n_sides} sides do not close")
    factor = 1 / math.cos(angle / n_sides / 2) if is_to_side else 1.0
    outline = np.array(_counter_clockwise(points)) * (factor, 1)
    outline = outline[np.abs(outline - np.roll(outline, 1, axis=0)).max(axis=1) > 1e-9]
    return Polyhedra(solid.name, (outline,), n_sides, begin, angle)


def _orb(solid: _SolidNode) -> VolumeSolid:
    return Turned(solid.name, ((Arc((0, 0), solid.positive("r"), -math.pi / 2, math.pi / 2),),))


def _sphere(solid: _SolidNode) -> VolumeSolid:
    rmin, rmax = solid.length("rmin", 0.0), solid.positive("rmax")
    if rmin >= rmax:
        raise solid.node.error(f"solid '{solid.name}': rmin is not smaller than rmax")
    top, theta = solid.angle("starttheta", 0.0), solid.angle("deltatheta", math.pi)
    low, high = math.pi / 2 - min(top + theta, math.pi), math.pi / 2 - top
    is_whole = low <= -math.pi / 2 + 1e-9 and high >= math.pi / 2 - 1e-9
    if is_whole:
        low, high = -math.pi / 2, math.pi / 2
    outer = Arc((0, 0), rmax, low, high)
    begin, angle = solid.turn()
    if rmin == 0:
        loops: tuple[tuple[tuple[float, float] | Arc, ...], ...] = ((outer,) if is_whole else (outer, (0.0, 0.0)),)
    else:
        inner = Arc((0, 0), rmin, high, low)
        loops = ((outer,), (inner,)) if is_whole and angle == TURN else ((outer, inner),)
    return Turned(solid.name, loops, begin, angle)


def _torus(solid: _SolidNode) -> VolumeSolid:
    rmin, rmax, swept = solid.length("rmin", 0.0), solid.positive("rmax"), solid.positive("rtor")
    if rmin >= rmax or rmax > swept:
        raise solid.node.error(f"solid '{solid.name}': it needs rmin < rmax <= rtor")
    loops: tuple[tuple[Arc, ...], ...] = ((Arc((swept, 0), rmax, -math.pi, math.pi),),)
    if rmin > 0:
        loops += ((Arc((swept, 0), rmin, math.pi, -math.pi),),)
    return Turned(solid.name, loops, *solid.turn())


def _elliptic_tube(solid: _SolidNode) -> VolumeSolid:
    dx, dy, dz = solid.positive("dx"), solid.positive("dy"), solid.positive("dz")
    return Stretched(
        solid.name, Turned(solid.name, (((1.0, -1.0), (1.0, 1.0), (0.0, 1.0), (0.0, -1.0)),)), (dx, dy, dz)
    )


def _ellipsoid(solid: _SolidNode) -> VolumeSolid:
    ax, by, cz = solid.positive("ax"), solid.positive("by"), solid.positive("cz")
    low, high = solid.length("zcut1", 0.0), solid.length("zcut2", 0.0)
    if low == high == 0:
        low, high = -cz, cz
    if low >= high:
        raise solid.node.error(f"solid '{solid.name}': zcut1 is not below zcut2")
    begin, end = math.asin(max(low / cz, -1.0)), math.asin(min(high / cz, 1.0))
    caps: list[tuple[float, float] | Arc] = [Arc((0, 0), 1.0, begin, end)]
    if high < cz:
        caps.append((0.0, math.sin(end)))
    if low > -cz:
        caps.append((0.0, math.sin(begin)))
    return Stretched(solid.name, Turned(solid.name, (tuple(caps),)), (ax, by, cz))


def _paraboloid(solid: _SolidNode) -> VolumeSolid:
    low, high, dz = solid.length("rlo"), solid.positive("rhi"), solid.positive("dz")
    radii = np.linspace(low, high, 33)
    z = -dz + 2 * dz * (radii**2 - low**2) / (high**2 - low**2)
    return solid.turned([*zip(radii.tolist(), z.tolist(), strict=True), (0.0, dz), (0.0, -dz)])


def _trd(solid: _SolidNode) -> VolumeSolid:
    x1, x2, y1, y2 = (solid.length(one) / 2 for one in ("x1", "x2", "y1", "y2"))
    half = solid.positive("z") / 2
    return _prism(solid.name, [(x, y) for x, y in _rectangle(x1, y1)], _rectangle(x2, y2), half)


def _rectangle(x: float, y: float) -> list[tuple[float, float]]:
    return [(-x, -y), (x, -y), (x, y), (-x, y)]


def _para(solid: _SolidNode) -> VolumeSolid:
    x, y, half = solid.positive("x") / 2, solid.positive("y") / 2, solid.positive("z") / 2
    alpha, theta, phi = (solid.angle(one, 0.0) for one in ("alpha", "theta", "phi"))
    shear = y * math.tan(alpha)
    quad = [(-x - shear, -y), (x - shear, -y), (x + shear, y), (-x + shear, y)]
    dx, dy = half * math.tan(theta) * math.cos(phi), half * math.tan(theta) * math.sin(phi)
    return _prism(solid.name, [(u - dx, v - dy) for u, v in quad], [(u + dx, v + dy) for u, v in quad], half)


def _trap(solid: _SolidNode) -> VolumeSolid:
    half, theta, phi = solid.positive("z") / 2, solid.angle("theta", 0.0), solid.angle("phi", 0.0)
    quads = []
    for y_name, x_low, x_high, alpha, sign in (("y1", "x1", "x2", "alpha1", -1), ("y2", "x3", "x4", "alpha2", 1)):
        y, low, high = solid.positive(y_name) / 2, solid.positive(x_low) / 2, solid.positive(x_high) / 2
        shear = y * math.tan(solid.angle(alpha, 0.0))
        dx = sign * half * math.tan(theta) * math.cos(phi)
        dy = sign * half * math.tan(theta) * math.sin(phi)
        quads.append(
            [
                (dx - shear - low, dy - y),
                (dx - shear + low, dy - y),
                (dx + shear + high, dy + y),
                (dx + shear - high, dy + y),
            ]
        )
    return _prism(solid.name, quads[0], quads[1], half)


def _arb8(solid: _SolidNode) -> VolumeSolid:
    corners = [(solid.length(f"v{i}x"), solid.length(f"v{i}y")) for i in range(1, 9)]
    low, high = corners[:4], corners[4:]
    if (
        sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(low + high, low[1:] + low[:1] + high[1:] + high[:1], strict=True))
        < 0
    ):
        low, high = low[::-1], high[::-1]
    return _prism(solid.name, low, high, solid.positive("dz"))


def _prism(name: str, low: list[tuple[float, float]], high: list[tuple[float, float]], half: float) -> VolumeSolid:
    vertices = np.array([(*one, -half) for one in low] + [(*one, half) for one in high])
    quads = [(3, 2, 1, 0), (4, 5, 6, 7)] + [(i, (i + 1) % 4, (i + 1) % 4 + 4, i + 4) for i in range(4)]
    triangles = [(a, b, c) for a, b, c, _ in quads] + [(a, c, d) for a, _, c, d in quads]
    return MeshSolid(name, vertices, np.array(triangles))


def _tet(solid: _SolidNode) -> VolumeSolid:
    vertices = np.array([_vertex(solid, solid.node, f"vertex{i}") for i in range(1, 5)])
    return _outward_mesh(solid.name, vertices, np.array([(0, 2, 1), (0, 1, 3), (1, 2, 3), (2, 0, 3)]))


def _xtru(solid: _SolidNode) -> VolumeSolid:
    number, mm = solid.definitions.number, solid.mm
    children = list(solid.definitions.unrolled(solid.node))
    polygon = np.array(
        [(number(one, "x") * mm, number(one, "y") * mm) for one in children if one.tag == "twoDimVertex"]
    )
    sections = [
        (
            number(one, "zPosition") * mm,
            number(one, "xOffset", 0.0) * mm,
            number(one, "yOffset", 0.0) * mm,
            number(one, "scalingFactor", 1.0),
        )
        for one in sorted((one for one in children if one.tag == "section"), key=lambda one: number(one, "zOrder"))
    ]
    if len(polygon) < 3 or len(sections) < 2:
        raise solid.node.error(f"solid '{solid.name}' needs three vertices and two sections")
    if sections[0][0] > sections[-1][0]:
        sections.reverse()
    return Extruded(solid.name, polygon, tuple(sections))


def _tessellated(solid: _SolidNode) -> VolumeSolid:
    vertices: list[NDArray[np.float64]] = []
    triangles: list[tuple[int, int, int]] = []
    for facet in solid.definitions.unrolled(solid.node):
        n = {"triangular": 3, "quadrangular": 4}.get(facet.tag)
        if n is None:
            continue
        corners = [_vertex(solid, facet, f"vertex{i}") for i in range(1, n + 1)]
        if facet.attributes.get("type", "ABSOLUTE") == "RELATIVE":
            corners = [corners[0], *(corners[0] + one for one in corners[1:])]
        first = len(vertices)
        vertices += corners
        triangles += [(first, first + i, first + i + 1) for i in range(1, n - 1)]
    if len(triangles) < 4:
        raise solid.node.error(f"solid '{solid.name}' is not closed: it has {len(triangles)} triangles")
    return _outward_mesh(solid.name, np.array(vertices), np.array(triangles))


def _outward_mesh(name: str, vertices: NDArray[np.float64], triangles: NDArray[np.int64]) -> MeshSolid:
    a, b, c = (vertices[triangles[:, i]] - vertices[0] for i in range(3))
    volume = float((a * np.cross(b, c)).sum())
    return MeshSolid(name, vertices, triangles if volume > 0 else triangles[:, ::-1])


def _vertex(solid: _SolidNode, node: XmlNode, attribute: str) -> NDArray[np.float64]:
    name = solid.definitions.name_of(node, attribute)
    return defined(solid.definitions.positions, name, "position", node) * solid.mm


def _boolean(solid: _SolidNode) -> VolumeSolid:
    node, definitions = solid.node, solid.definitions
    first, second = (solid.reader.find(definitions.reference(node, tag), node) for tag in ("first", "second"))
    first_rotation, first_position = (
        definitions.rotation(node, "firstrotation"),
        definitions.position(node, "firstposition"),
    )
    if not np.array_equal(first_rotation, np.eye(3)) or first_position.any():
        first = Moved(first.name, first, first_rotation, first_position)
    return Boolean(solid.name, node.tag, first, second, definitions.rotation(node), definitions.position(node))


def _multi_union(solid: _SolidNode) -> VolumeSolid:
    parts: list[VolumeSolid] = []
    for node in solid.definitions.unrolled(solid.node):
        if node.tag == "multiUnionNode":
            part = solid.reader.find(solid.definitions.reference(node, "solid"), node)
            parts.append(Moved(part.name, part, solid.definitions.rotation(node), solid.definitions.position(node)))
    if not parts:
        raise solid.node.error(f"solid '{solid.name}' has no parts")
    while len(parts) > 1:  # in pairs: thousands of parts would otherwise be booleans within each other
        pairs = [Boolean(solid.name, "union", *pair) for pair in zip(parts[::2], parts[1::2], strict=False)]
        parts = [*pairs, *parts[2 * len(pairs) :]]
    return parts[0]


def _scaled(solid: _SolidNode) -> VolumeSolid:
    inner = solid.reader.find(solid.definitions.reference(solid.node, "solidref"), solid.node)
    x, y, z = solid.definitions.scale(solid.node).tolist()
    return Stretched(solid.name, inner, (x, y, z))


def _torus_stack(solid: _SolidNode) -> VolumeSolid:
    node, number = solid.node, solid.definitions.number
    edges = [(number(one, "z") * solid.mm, number(one, "rho") * solid.mm) for one in node.find_all("edge")]
    origins = [number(one, "z") * solid.mm for one in node.find_all("origin")]
    if len(edges) < 2 or len(edges) != len(origins) + 1:
        raise node.error(f"solid '{solid.name}': {len(edges)} edges need one origin between each two")
    if any(low >= high for (low, _), (high, _) in pairwise(edges)):
        raise node.error(f"solid '{solid.name}': z of its edges does not rise")
    outer = torus_stack(solid.name, edges, origins)
    inner = node.find("inner")
    if inner is None:
        return outer
    subtracted = solid.reader.find(solid.definitions.name_of(inner, "ref"), inner)
    return Boolean(solid.name, "subtraction", outer, subtracted)


_READERS: dict[str, Callable[[_SolidNode], VolumeSolid]] = {
    "box": _box,
    "tube": _tube,
    "cone": _cone,
    "polycone": _polycone,
    "genericPolycone": _generic_polycone,
    "polyhedra": _polyhedra,
    "genericPolyhedra": _generic_polyhedra,
    "orb": _orb,
    "sphere": _sphere,
    "torus": _torus,
    "eltube": _elliptic_tube,
    "ellipsoid": _ellipsoid,
    "paraboloid": _paraboloid,
    "trd": _trd,
    "para": _para,
    "trap": _trap,
    "arb8": _arb8,
    "tet": _tet,
    "xtru": _xtru,
    "tessellated": _tessellated,
    "union": _boolean,
    "subtraction": _boolean,
    "intersection": _boolean,
    "multiUnion": _multi_union,
    "scaled_solid": _scaled,
    "torusstack": _torus_stack,
}
