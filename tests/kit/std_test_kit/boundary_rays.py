"""The boundaries of a geometry file, for tests: areas and volumes, and which media a ray goes through.

It reads the file by itself, and shares no code with converter and engine.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Crossing = tuple[float, str, str, str | None]
"""Distance, the medium before, the medium behind, the surface."""


@dataclass(frozen=True, slots=True, eq=False)
class PlacedBoundary:
    """A solid of the file where it stands.

    Parameters
    ----------
    channel
        Whose photons it detects; None for none.
    corners
        Of its triangles, shape (n, 3, 3).
    centre, radius
        Of a ball that holds it.
    """

    solid: dict[str, Any]
    rotation: Floats
    position: Floats
    channel: int | None
    corners: Floats
    centre: Floats
    radius: float

    def area(self) -> float:
        """Return its area in mm²; analytic where the solid is."""
        shape, solid = self.solid["shape"], self.solid
        if shape == "sphere":
            return float(4 * math.pi * solid["radius"] ** 2)
        if shape == "cylinder":
            return float(2 * math.pi * solid["radius"] * (solid["radius"] + solid["height"]))
        across = np.cross(self.corners[:, 1] - self.corners[:, 0], self.corners[:, 2] - self.corners[:, 0])
        return float(np.linalg.norm(across, axis=1).sum() / 2)

    def volume(self) -> float:
        """Return the signed volume that its surface spans with the origin; closed together they are a volume."""
        a, b, c = (self.corners[:, i] for i in range(3))
        return float((a * np.cross(b, c)).sum() / 6)

    def crossings(self, origin: Floats, direction: Floats) -> list[Crossing]:
        """Return where a ray meets it."""
        to_centre = self.centre - origin
        if to_centre @ to_centre - (to_centre @ direction) ** 2 > self.radius**2:
            return []
        start, along = (origin - self.position) @ self.rotation, direction @ self.rotation
        shape = self.solid["shape"]
        if shape == "sphere":
            hits = _sphere(start, along, self.solid["radius"])
        elif shape == "cylinder":
            hits = _cylinder(start, along, self.solid["radius"], self.solid["height"] / 2)
        else:
            hits = _triangles(origin, direction, self.corners)
        inner, outer, surface = self.solid["inner"], self.solid["outer"], self.solid.get("surface")
        return [(distance, *((outer, inner) if cosine < 0 else (inner, outer)), surface) for distance, cosine in hits]


def placed_boundaries(geometry: dict[str, Any]) -> list[PlacedBoundary]:
    """Return all boundaries of a file, those of arrays at each place."""
    found = [_placed(solid, np.eye(3), np.zeros(3), solid.get("channel")) for solid in geometry["solids"]]
    for array in geometry.get("arrays", []):
        n = len(array["positions"])
        rotations = array.get("rotations", [np.eye(3)] * n)
        first = array.get("first_channel")
        for i, (position, rotation) in enumerate(zip(array["positions"], rotations, strict=True)):
            channel = None if first is None else first + i
            found += [
                _placed(solid, np.array(rotation), np.array(position), channel)
                for solid in geometry["parts"][array["part"]]
            ]
    return found


def media_along(boundaries: list[PlacedBoundary], origin: Floats, direction: Floats) -> list[Crossing]:
    """Return what a ray crosses, nearest first."""
    direction = direction / np.linalg.norm(direction)
    return sorted(crossing for one in boundaries for crossing in one.crossings(origin, direction))


def channel_positions(geometry: dict[str, Any]) -> dict[int, Floats]:
    """Return where clients are told that channels are."""
    found = {
        solid["channel"]: np.array(solid.get("channel_position", solid.get("position", [0, 0, 0])))
        for solid in geometry["solids"]
        if "channel" in solid
    }
    for array in geometry.get("arrays", []):
        if array.get("first_channel") is not None:
            positions = array.get("channel_positions", array["positions"])
            found |= {array["first_channel"] + i: np.array(one) for i, one in enumerate(positions)}
    return found


def table_at(table: Any, wavelength: float) -> float:
    """Return a table's value at a wavelength in nm."""
    if not isinstance(table, dict):
        return float(table)
    return float(np.interp(wavelength, table["wavelength"], table["value"]))


def _placed(solid: dict[str, Any], rotation: Floats, position: Floats, channel: int | None) -> PlacedBoundary:
    own = np.array(solid.get("rotation", np.eye(3)), dtype=float)
    full = rotation @ own
    place = rotation @ np.array(solid.get("position", [0, 0, 0]), dtype=float) + position
    corners = _corners(solid) @ full.T + place
    centre = (corners.min(axis=(0, 1)) + corners.max(axis=(0, 1))) / 2
    radius = 1.01 * float(np.linalg.norm(corners - centre, axis=2).max())  # corners of what is round lie on it
    return PlacedBoundary(solid, full, place, channel, corners, centre, radius)


def _corners(solid: dict[str, Any]) -> Floats:
    shape = solid["shape"]
    if shape == "mesh":
        return np.asarray(np.array(solid["vertices"], dtype=float)[np.array(solid["triangles"])])
    if shape == "box":
        return _box(np.array(solid["size"]) / 2)
    if shape == "revolved":
        return _revolved(np.array(solid["profile"], dtype=float), solid.get("segments", 32))
    if shape == "cylinder":
        radius, half = solid["radius"], solid["height"] / 2
        return _revolved(np.array([[0, -half], [radius, -half], [radius, half], [0, half]]), 72)
    if shape == "sphere":
        angles = np.linspace(-math.pi / 2, math.pi / 2, 37)
        profile = solid["radius"] * np.column_stack([np.cos(angles), np.sin(angles)])
        profile[[0, -1], 0] = 0
        return _revolved(profile, 72)
    raise ValueError(shape)


def _box(half: Floats) -> Floats:
    signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    quads = [[4, 6, 7, 5], [0, 1, 3, 2], [2, 3, 7, 6], [0, 4, 5, 1], [1, 5, 7, 3], [0, 2, 6, 4]]
    triangles = [[a, b, c] for a, b, c, _ in quads] + [[a, c, d] for a, _, c, d in quads]
    return np.asarray((signs * half)[np.array(triangles)])


def _revolved(profile: Floats, segments: int) -> Floats:
    angles = 2 * math.pi * np.arange(segments + 1) / segments
    around = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    rings = [np.column_stack([r * around, np.full(segments + 1, z)]) for r, z in profile]
    corners = []
    for low, high in pairwise(rings):
        corners.append(np.stack([low[:-1], low[1:], high[1:]], axis=1))
        corners.append(np.stack([low[:-1], high[1:], high[:-1]], axis=1))
    joined: Floats = np.concatenate(corners)
    return joined


def _sphere(start: Floats, along: Floats, radius: float) -> list[tuple[float, float]]:
    b, c = float(start @ along), float(start @ start) - radius**2
    if b * b <= c:
        return []
    root = math.sqrt(b * b - c)
    return [(t, sign) for t, sign in ((-b - root, -1.0), (-b + root, 1.0)) if t > 0]


def _cylinder(start: Floats, along: Floats, radius: float, half: float) -> list[tuple[float, float]]:
    low, high = -math.inf, math.inf
    a, b, c = float(along[:2] @ along[:2]), float(start[:2] @ along[:2]), float(start[:2] @ start[:2]) - radius**2
    if a == 0 and c > 0:
        return []
    if a > 0:
        if b * b <= a * c:
            return []
        root = math.sqrt(b * b - a * c)
        low, high = (-b - root) / a, (-b + root) / a
    if along[2] == 0 and abs(start[2]) > half:
        return []
    if along[2] != 0:
        ends = sorted(((-half - start[2]) / along[2], (half - start[2]) / along[2]))
        low, high = max(low, ends[0]), min(high, ends[1])
    return [(t, sign) for t, sign in ((low, -1.0), (high, 1.0)) if t > 0] if low < high else []


def _triangles(origin: Floats, direction: Floats, corners: Floats) -> list[tuple[float, float]]:
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    across = np.cross(direction, second)
    determinant = (first * across).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        offset = origin - corners[:, 0]
        u = (offset * across).sum(axis=1) / determinant
        over = np.cross(offset, first)
        v = over @ direction / determinant
        t = (second * over).sum(axis=1) / determinant
        inside = (np.abs(determinant) > 0) & (u >= -1e-12) & (v >= -1e-12) & (u + v <= 1 + 1e-12) & (t > 0)
    cosines = np.cross(first, second) @ direction
    hits = sorted(zip(t[inside].tolist(), np.sign(cosines[inside]).tolist(), strict=True))
    # A ray along an edge meets both triangles.
    return [hit for i, hit in enumerate(hits) if i == 0 or hit[1] != hits[i - 1][1] or hit[0] - hits[i - 1][0] > 1e-6]
