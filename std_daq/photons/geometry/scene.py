"""A detector as flat arrays, which the kernels read."""

import hashlib
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.errors import ConfigError
from std_daq.photons.backend import Channels
from std_daq.photons.geometry.file import GeometryFile
from std_daq.photons.geometry.optics import compile_optics
from std_daq.photons.geometry.primitives import Primitives
from std_daq.photons.geometry.records import BOUNDARY, INSTANCE, LEAF_BITS, MAX_STACK, N_CHILDREN, PRIMITIVE, Scene
from std_daq.photons.geometry.shapes import face_centre, pieces_of
from std_daq.photons.geometry.solid_sections import Solid
from std_daq.photons.geometry.trees import Tree

MAX_OPENED = 4
"""A part of so few primitives is not an instance: its primitives stand in the tree of the detector, which is faster."""

_MAX_PRIMITIVES = 1 << (30 - LEAF_BITS)


def content_hash(scene: Scene) -> str:
    """Return 64 hexadecimal digits that two scenes share only if they are the same."""
    digest = hashlib.sha256()
    for array in scene:
        digest.update(f"{array.dtype} {array.shape}".encode())
        # Not the bytes of a record: what is between its fields is left to chance.
        for column in _columns(array):
            digest.update(column.tobytes())
    return digest.hexdigest()


def _columns(array: NDArray[Any]) -> list[NDArray[Any]]:
    return [array[name] for name in array.dtype.names] if array.dtype.names else [array]


def compile_scene(geometry: GeometryFile, folder: Path | None = None) -> Scene:
    """Compile a geometry.

    Parameters
    ----------
    folder
        That of the geometry file: files of meshes are relative to it.
    """
    boundaries = _Boundaries(geometry)
    top = [piece for i, solid in enumerate(geometry.solids) for piece in boundaries.of(solid, f"solids.{i}", folder)]
    parts = {
        name: [piece for i, solid in enumerate(solids) for piece in boundaries.of(solid, f"parts.{name}.{i}", folder)]
        for name, solids in geometry.parts.items()
    }
    layers = [_Layer.of(top)]
    roots: dict[str, int] = {}
    for array in geometry.arrays:
        part, n_places = parts[array.part], len(array.positions)
        first = array.first_channel
        channels = (
            np.full(n_places, -1, np.int32) if first is None else np.arange(first, first + n_places, dtype=np.int32)
        )
        if sum(len(piece.numbers) for piece in part) <= MAX_OPENED:
            layers[0].add([piece.placed_often(array.turns, array.positions, channels) for piece in part])
            continue
        if array.part not in roots:
            roots[array.part] = len(layers)
            layers.append(_Layer.of(part))
        layers[0].add_instances(layers[roots[array.part]], roots[array.part], array.turns, array.positions, channels)
    tables = compile_optics(geometry)
    optical = [getattr(tables, one.name) for one in fields(tables)]
    return Scene._make([*_joined(layers), boundaries.records, *optical])


def channels_of(geometry: GeometryFile) -> Channels:
    """Return places and types of all channels."""
    found: dict[int, tuple[NDArray[np.float64], int]] = {}
    for solid in geometry.solids:
        if solid.channel is not None:
            place = solid.position if solid.channel_position is None else solid.channel_position
            found[solid.channel] = (place, solid.channel_type)
        for name, face in solid.faces.items():
            if face.channel is not None:
                place = face_centre(solid, name) if face.channel_position is None else face.channel_position
                found[face.channel] = (place, face.channel_type)
    for array in geometry.arrays:
        if array.first_channel is not None:
            places = array.positions if array.channel_positions is None else array.channel_positions
            types = (
                array.channel_types if isinstance(array.channel_types, list) else [array.channel_types] * len(places)
            )
            found.update(enumerate(zip(places, types, strict=True), array.first_channel))
    ordered = [found[channel] for channel in range(len(found))]
    positions = np.array([place for place, _ in ordered], np.float64).reshape(-1, 3)
    return Channels(positions.astype(np.float32), np.array([kind for _, kind in ordered], np.int32))


class _Boundaries:
    """Numbers boundaries while solids are compiled."""

    def __init__(self, geometry: GeometryFile) -> None:
        self._materials = {name: i for i, name in enumerate(geometry.materials)}
        self._surfaces = {name: i for i, name in enumerate(geometry.surfaces)}
        self._known: dict[tuple[int, int, int], int] = {}

    @property
    def records(self) -> NDArray[np.void]:
        return np.array(list(self._known), BOUNDARY)

    def of(self, solid: Solid, key: str, folder: Path | None) -> list[Primitives]:
        """Return the primitives of a solid at its place."""
        try:
            pieces = pieces_of(solid, folder)
        except ConfigError as error:
            raise ConfigError(error.problem, file=error.file, key=key, value=error.value, remedy=error.remedy) from None
        made = []
        for name, kind, numbers in pieces:
            face = solid.faces.get(name)
            surface = solid.surface if face is None or face.surface is None else face.surface
            channel = solid.channel if face is None or face.channel is None else face.channel
            number = self._number(solid.inner, solid.outer, surface)
            made.append(Primitives.of_face(kind, numbers, number, channel).placed(solid.turn, solid.position))
        return made

    def _number(self, inner: str, outer: str, surface: str | None) -> int:
        sides = (self._materials[inner], self._materials[outer], -1 if surface is None else self._surfaces[surface])
        return self._known.setdefault(sides, len(self._known))


class _Layer:
    """Primitives that share a tree: those of the detector, or those of a part."""

    def __init__(self) -> None:
        self._kinds: list[NDArray[np.int32]] = []
        self._boundaries: list[NDArray[np.int32]] = []
        self._channels: list[NDArray[np.int32]] = []
        self._numbers: list[NDArray[np.float64]] = []
        self._bounds: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
        self._tree: Tree | None = None

    @classmethod
    def of(cls, pieces: list[Primitives]) -> "_Layer":
        layer = cls()
        layer.add(pieces)
        return layer

    def add(self, pieces: list[Primitives]) -> None:
        for piece in pieces:
            self._add(piece.kind, piece.numbers, piece.boundary, piece.channel, piece.bounds())

    def add_instances(
        self,
        part: "_Layer",
        root: int,
        turns: NDArray[np.float64],
        places: NDArray[np.float64],
        channels: NDArray[np.int32],
    ) -> None:
        """Add a part at many places; ``root`` is the number of its layer, until the trees are joined."""
        low, high = part.tree.bounds[:3], part.tree.bounds[3:]
        middle = np.einsum("mij,j->mi", turns, (low + high) / 2) + places
        reach = np.einsum("mij,j->mi", np.abs(turns), (high - low) / 2)
        numbers = np.concatenate([turns.reshape(-1, 9), places], axis=1)
        roots = np.full(len(places), root, np.int32)
        self._add(INSTANCE, numbers, roots, channels, (middle - reach, middle + reach))

    def _add(
        self,
        kind: int,
        numbers: NDArray[np.float64],
        boundaries: NDArray[np.int32],
        channels: NDArray[np.int32],
        bounds: tuple[NDArray[np.float64], NDArray[np.float64]],
    ) -> None:
        self._kinds.append(np.full(len(numbers), kind, np.int32))
        self._numbers.append(numbers)
        self._boundaries.append(boundaries)
        self._channels.append(channels)
        self._bounds.append(bounds)

    @property
    def tree(self) -> Tree:
        if self._tree is None:
            lower = np.concatenate([np.zeros((0, 3)), *(low for low, _ in self._bounds)])
            upper = np.concatenate([np.zeros((0, 3)), *(high for _, high in self._bounds)])
            self._tree = Tree.over(lower, upper, self._all(self._kinds) == INSTANCE)
        return self._tree

    def primitives(self, first_number: int) -> tuple[NDArray[np.void], NDArray[np.float64]]:
        """Return the primitives in the order of the leaves, and their numbers in the same order."""
        widths = np.concatenate([np.zeros(0, np.int64), *(np.full(len(one), one.shape[1]) for one in self._numbers)])
        begins = np.concatenate([[0], np.cumsum(widths)[:-1]]).astype(np.int64) if len(widths) else widths
        flat = np.concatenate([np.zeros(0), *(one.ravel() for one in self._numbers)])
        order = self.tree.order
        widths = widths[order]
        ends = np.cumsum(widths)
        source = np.repeat(begins[order] - (ends - widths), widths) + np.arange(len(flat))
        records = np.empty(len(order), PRIMITIVE)
        records["kind"] = self._all(self._kinds)[order]
        records["numbers"] = ends - widths + first_number
        records["boundary"] = self._all(self._boundaries)[order]
        records["channel"] = self._all(self._channels)[order]
        return records, flat[source]

    @staticmethod
    def _all(arrays: list[NDArray[np.int32]]) -> NDArray[np.int32]:
        return np.concatenate([np.zeros(0, np.int32), *arrays])


def _joined(layers: list[_Layer]) -> tuple[NDArray[Any], ...]:
    """Return bounds, boxes, children, primitives and shapes of all layers in a row."""
    trees = [layer.tree for layer in layers]
    first_nodes = np.cumsum([0, *(tree.n_nodes for tree in trees)])
    first_primitives = np.cumsum([0, *(len(tree.order) for tree in trees)])
    if first_primitives[-1] > _MAX_PRIMITIVES:
        raise ConfigError(
            f"has {first_primitives[-1]} primitives; at most {_MAX_PRIMITIVES}",
            key="solids",
            remedy="put what is there often into a part, and place it by an array",
        )
    n_stack = sum(sorted((tree.n_levels for tree in trees[1:]), reverse=True)[:1]) + trees[0].n_levels
    if n_stack * (N_CHILDREN - 1) + 2 > MAX_STACK:
        raise ConfigError(f"its trees have {n_stack} levels, too many for the stack", key="solids")
    children = [
        tree.children_from(int(node), int(primitive))
        for tree, node, primitive in zip(trees, first_nodes[:-1], first_primitives[:-1], strict=True)
    ]
    records, numbers, n_numbers = [], [], 0
    for layer in layers:
        of_layer, shapes = layer.primitives(n_numbers)
        records.append(of_layer)
        numbers.append(shapes)
        n_numbers += len(shapes)
    primitives = np.concatenate(records)
    is_instance = primitives["kind"] == INSTANCE
    primitives["boundary"][is_instance] = first_nodes[primitives["boundary"][is_instance]]
    boxes = np.concatenate([tree.boxes for tree in trees])
    return trees[0].bounds, boxes, np.concatenate(children), primitives, np.concatenate(numbers)
