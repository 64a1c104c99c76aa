"""Boundaries of a volume: where the solids in it meet, which two volumes each piece of surface lies between.

A volume is worked out once, however often it stands somewhere. What its own surface lies against is known only where it
stands: OUTSIDE stands for that until then.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from std_daq.photons.importing.arrangement import Cell, Outline, Path, cut_cells
from std_daq.photons.importing.contacts import (
    PlacedFacets,
    box_corners,
    crosses,
    near_pairs,
    near_walls,
    touching_faces,
)
from std_daq.photons.importing.detector import IDENTITY, Transform, Volume
from std_daq.photons.importing.errors import DetectorImportError
from std_daq.photons.importing.facets import FLATNESS, Facets
from std_daq.photons.importing.report import ImportReport
from std_daq.photons.importing.round_contacts import facets_differ
from std_daq.photons.importing.shapes import is_analytic
from std_daq.photons.importing.solids import Turned

OUTSIDE = None
"""The side of a volume's own surface that lies out of it."""

Side = Path | None


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A piece of surface between two volumes.

    Parameters
    ----------
    owner
        Whose solid it is a part of.
    faces
        The faces of that solid, if it consists of whole ones.
    triangles
        Otherwise, shape (n, 3, 3), in the coordinates of the volume that the piece is in.
    inner, outer
        What lies behind its normal, and before it.
    touching
        Placements of the volume that have this piece in common; -1 is the volume itself.
    """

    owner: Path
    faces: NDArray[np.int64] | None
    triangles: NDArray[np.float64] | None
    inner: Side
    outer: Side
    touching: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, eq=False)
class ExposedGroup:
    """Faces in one plane with faces of a volume's own surface.

    Parameters
    ----------
    faces
        (owner, number) of each.
    own
        Numbers of those that are the volume's own.
    pieces
        What they make if nothing touches the volume there.
    """

    faces: list[tuple[Path, int]]
    own: frozenset[int]
    pieces: list[Piece]


@dataclass(slots=True, eq=False)
class Resolved:
    """A volume with its boundaries.

    Attributes
    ----------
    children
        Of each placement; those that are too thin to matter are None.
    pieces
        Where what stands in the volume touches.
    groups
        Where it touches the volume's own surface.
    free_faces
        Faces of the own surface that nothing in the volume touches.
    taken
        Faces of each placement's own surface that take part in `pieces` or `groups`.
    """

    volume: Volume
    facets: Facets
    children: list["Resolved | None"] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)
    groups: list[ExposedGroup] = field(default_factory=list)
    free_faces: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    taken: dict[int, set[int]] = field(default_factory=dict)

    def default_pieces(self, taken: set[int]) -> list[Piece]:
        """Return the pieces of the own surface but for those that take part in something outside."""
        pieces = []
        free = self.free_faces[~np.isin(self.free_faces, list(taken))] if taken else self.free_faces
        if len(free):
            pieces.append(Piece((), free, None, (), OUTSIDE))
        for group in self.groups:
            if not group.own & taken:
                pieces += group.pieces
        return pieces


class BoundaryFinder:
    """Works out volumes, each once.

    Parameters
    ----------
    segments
        Facets a turn of round surfaces.
    """

    def __init__(self, segments: int, report: ImportReport) -> None:
        self._segments = segments
        self._report = report
        self._resolved: dict[Volume, Resolved] = {}
        self._facets: dict[object, Facets] = {}

    def resolve(self, volume: Volume) -> Resolved:
        """Return a volume's boundaries.

        Raises
        ------
        DetectorImportError
            If a solid has no surface.
        """
        if volume not in self._resolved:
            self._resolved[volume] = self._resolve(volume)
        return self._resolved[volume]

    def facets(self, volume: Volume) -> Facets:
        """Return the facets of a volume's solid."""
        solid = volume.solid
        if solid not in self._facets:
            try:
                self._facets[solid] = solid.facets(self._segments)
            except ValueError as error:
                raise DetectorImportError(f"solid '{solid.name}' of volume '{volume.name}': {error}") from error
            except RecursionError:
                raise DetectorImportError(f"solid '{solid.name}': too many booleans within each other") from None
            if not self._facets[solid].n_faces:
                raise DetectorImportError(f"solid '{solid.name}' of volume '{volume.name}' has no surface")
        return self._facets[solid]

    def _resolve(self, volume: Volume) -> Resolved:
        resolved = Resolved(volume, self.facets(volume))
        for placement in volume.placements:
            facets = self.facets(placement.volume)
            if np.ptp(facets.vertices, axis=0).min() < 2 * FLATNESS:
                self._report.note(f"placement '{placement.name}'", "thinner than 0.0002 mm; left out")
                resolved.children.append(None)
            else:
                resolved.children.append(self.resolve(placement.volume))
        components = _Components()
        placed = _PlacedSolids(resolved)
        pairs = placed.near_pairs()
        for (i, face), (j, other) in placed.contacts(pairs):
            components.join(_node(resolved, i, face), _node(resolved, j, other))
        for i, j in pairs:
            if placed.facets_differ(i, j, self._segments):
                names = " and ".join(f"'{_name(volume, () if one < 0 else (one,))}'" for one in (i, j))
                self._report.lose(
                    f"round solids of {names}",
                    "fill each other, and are turned against each other by a part of a facet; their boundaries cross",
                )
        own_taken: set[int] = set()
        for nodes in components.groups():
            self._solve(resolved, nodes, placed, own_taken)
        resolved.free_faces = np.setdiff1d(np.arange(resolved.facets.n_faces), list(own_taken))
        if own_taken or not is_analytic(volume.solid):
            for number in placed.crossing_walls(self._segments):
                self._report.lose(
                    f"placement '{volume.placements[number].name}' in '{volume.name}'",
                    "reaches through the facets that stand for the round wall around it; take more --segments",
                )
        return resolved

    def _solve(self, resolved: Resolved, nodes: list["_Node"], placed: "_PlacedSolids", own_taken: set[int]) -> None:
        faces = [one for node in nodes for one in _faces_of(resolved, node)]
        outlines = [placed.outline(owner, face) for owner, face in faces]
        pieces = [self._piece(cell, outlines, resolved.volume) for cell in cut_cells(outlines)]
        own = frozenset(face for owner, face in faces if owner == ())
        for owner, face in faces:
            if len(owner) == 1:
                resolved.taken.setdefault(owner[0], set()).add(face)
        own_taken |= own
        if own:
            resolved.groups.append(ExposedGroup(faces, own, pieces))
        else:
            resolved.pieces += pieces

    def _piece(self, cell: Cell, outlines: list[Outline], volume: Volume) -> Piece:
        first = outlines[cell.first]
        behind: list[Path] = []
        before: list[Path] = []
        for index in cell.covering:
            is_behind = outlines[index].normal @ first.normal > 0
            (behind if is_behind else before).append(outlines[index].owner)
        flat = set(behind) & set(before)  # a solid with both faces here is thinner than the tolerance
        sides = [self._deepest([one for one in owners if one not in flat], volume) for owners in (behind, before)]
        # Where nothing lies there is the volume itself, or what is out of it beyond its own surface.
        is_own_face = () in behind
        inner: Side = sides[0] if sides[0] is not None else ()
        outer = sides[1] if sides[1] is not None else OUTSIDE if is_own_face else ()
        if () in before and () not in flat:  # the cell's normal points into the volume
            inner, outer = (OUTSIDE if sides[0] is None else sides[0]), sides[1]
        touching = frozenset(outlines[index].owner[0] if outlines[index].owner else -1 for index in cell.covering)
        faces = np.array([first.face]) if cell.triangles is None else None
        return Piece(first.owner, faces, cell.triangles, inner, outer, touching)

    def _deepest(self, owners: list[Path], volume: Volume) -> Path | None:
        if not owners:
            return None
        depth = max(len(owner) for owner in owners)
        deepest = sorted({owner for owner in owners if len(owner) == depth})
        if len(deepest) > 1:
            names = " and ".join(f"'{_name(volume, owner)}'" for owner in deepest[:2])
            self._report.lose(f"placements {names} in '{volume.name}'", "overlap; the first one counts")
        return deepest[0]


def _name(volume: Volume, path: Path) -> str:
    name = volume.name
    for number in path:
        placement = volume.placements[number]
        name, volume = placement.name, placement.volume
    return name


_Node = tuple[int, str, int]
"""A face, or a group of faces, of a placement (-1: of the volume itself)."""


def _node(resolved: Resolved, owner: int, face: int) -> _Node:
    if owner >= 0:
        child = resolved.children[owner]
        for number, group in enumerate(child.groups if child else ()):
            if face in group.own:
                return owner, "group", number
    return owner, "face", face


def _faces_of(resolved: Resolved, node: _Node) -> list[tuple[Path, int]]:
    owner, kind, number = node
    if owner < 0:
        return [((), number)]
    if kind == "face":
        return [((owner,), number)]
    child = resolved.children[owner]
    return [((owner, *path), face) for path, face in child.groups[number].faces] if child else []


class _Components:
    """Nodes that are joined, directly or by others."""

    def __init__(self) -> None:
        self._parents: dict[_Node, _Node] = {}

    def join(self, first: _Node, second: _Node) -> None:
        a, b = self._root(first), self._root(second)
        if a != b:
            self._parents[max(a, b)] = min(a, b)

    def groups(self) -> list[list[_Node]]:
        found: dict[_Node, list[_Node]] = {}
        for node in sorted(self._parents):
            found.setdefault(self._root(node), []).append(node)
        return [found[root] for root in sorted(found)]

    def _root(self, node: _Node) -> _Node:
        self._parents.setdefault(node, node)
        while self._parents[node] != node:
            self._parents[node] = self._parents[self._parents[node]]
            node = self._parents[node]
        return node


class _PlacedSolids:
    """The solids in a volume where they stand; their facets are moved only if something may touch them."""

    def __init__(self, resolved: Resolved) -> None:
        self._resolved = resolved
        self._walls = PlacedFacets.place(resolved.facets, IDENTITY)
        self._placed: dict[int, PlacedFacets] = {-1: self._walls}
        self._near: list[int] = []

    def near_pairs(self) -> list[tuple[int, int]]:
        """Return pairs of placements that may touch; -1 is the solid around them."""
        numbers = [number for number, child in enumerate(self._resolved.children) if child is not None]
        if not numbers:
            return []
        corners = np.array(
            [
                self._transform((number,)).apply(box_corners(child.facets))
                for number in numbers
                if (child := self._resolved.children[number]) is not None
            ]
        )
        self._near = [numbers[i] for i in np.flatnonzero(near_walls(self._walls, corners))]
        pairs = [(-1, number) for number in self._near]
        return pairs + [(numbers[i], numbers[j]) for i, j in near_pairs(corners)]

    def facets_differ(self, i: int, j: int, segments: int) -> bool:
        """Whether two placements have a round surface in common, and different facets there."""
        first, second = (self._resolved.volume if one < 0 else self._volume(one) for one in (i, j))
        if not isinstance(first.solid, Turned) or not isinstance(second.solid, Turned):
            return False
        at, second_at = (IDENTITY if one < 0 else self._transform((one,)) for one in (i, j))
        return facets_differ(first.solid, at, second.solid, second_at, segments)

    def contacts(self, pairs: list[tuple[int, int]]) -> list[tuple[tuple[int, int], tuple[int, int]]]:
        """Return pairs of faces, each as (placement, face), that lie in one plane and may touch."""
        return [
            ((i, int(face)), (j, int(other)))
            for i, j in pairs
            for face, other in touching_faces(self._solid(i), self._solid(j))
        ]

    def crossing_walls(self, segments: int) -> list[int]:
        """Return placements that stand within the solid around them, and yet reach through its facets."""
        if not isinstance(self._resolved.volume.solid, Turned):
            return []
        return [number for number in self._near if crosses(self._walls, self._solid(number), segments)]

    def outline(self, owner: Path, face: int) -> Outline:
        """Return a face where it stands."""
        resolved = self._resolved
        for number in owner:
            child = resolved.children[number]
            if child is not None:
                resolved = child
        transform = self._transform(owner)
        loops = [transform.apply(resolved.facets.vertices[loop]) for loop in resolved.facets.loops_of(face)]
        return Outline(owner, face, loops, transform.rotation @ resolved.facets.normals[face])

    def _solid(self, number: int) -> PlacedFacets:
        if number not in self._placed:
            child = self._resolved.children[number]
            if child is None:
                raise AssertionError("a solid that was left out touches nothing")
            self._placed[number] = PlacedFacets.place(child.facets, self._transform((number,)))
        return self._placed[number]

    def _volume(self, number: int) -> Volume:
        return self._resolved.volume.placements[number].volume

    def _transform(self, path: Path) -> Transform:
        transform, volume = IDENTITY, self._resolved.volume
        for number in path:
            placement = volume.placements[number]
            transform, volume = transform.after(placement.transform), placement.volume
        return transform
