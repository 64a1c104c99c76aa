"""build_geometry: a detector and its sensors as the geometry file; repeated things stay one part at many places."""

import json
from dataclasses import dataclass, field

import numpy as np

from std_daq.photons.importing.arrangement import Path
from std_daq.photons.importing.arrays import array_entries, single_entry
from std_daq.photons.importing.boundaries import BoundaryFinder, Piece, Resolved, Side
from std_daq.photons.importing.detector import IDENTITY, PlacedVolume, Transform, Volume, VolumeTree
from std_daq.photons.importing.errors import DetectorImportError
from std_daq.photons.importing.optics import Boundary, BoundaryOptics, Names, Place
from std_daq.photons.importing.report import ImportReport
from std_daq.photons.importing.sensors import Sensor
from std_daq.photons.importing.shapes import BoundedPiece, solids_of
from std_daq.photons.importing.solids import Points
from std_daq.photons.importing.tables import Json


@dataclass(frozen=True, slots=True)
class ConversionOptions:
    """How a detector is converted.

    Parameters
    ----------
    segments
        Facets a turn of what is round and not analytic.
    efficiency_scale
        Multiplies each efficiency; the product is at most 1.
    has_ideal_sensors
        Whether a sensor that detects nothing detects everything that comes to its outer boundary.
    """

    segments: int = 64
    efficiency_scale: float = 1.0
    has_ideal_sensors: bool = False


@dataclass(slots=True)
class _SensorTree:
    """Which placements lead to sensors."""

    sensor: Sensor | None = None
    inner: dict[PlacedVolume, "_SensorTree"] = field(default_factory=dict)
    n_sensors: int = 0
    only: Sensor | None = None

    def add(self, sensor: Sensor) -> None:
        node = self
        for placement in sensor.path:
            node.n_sensors, node.only = node.n_sensors + 1, sensor
            node = node.inner.setdefault(placement, _SensorTree())
        node.sensor, node.n_sensors, node.only = sensor, 1, sensor


@dataclass(frozen=True, slots=True, eq=False)
class _LocalPiece:
    """A piece with its owner's place, in the coordinates of one volume."""

    piece: Piece
    owner: Path
    resolved: Resolved
    transform: Transform


@dataclass(frozen=True, slots=True, eq=False)
class _Here:
    """Where the walk through the tree is.

    Parameters
    ----------
    place, mother
        The volume, and what it stands in.
    sensors
        Those below.
    sensor, mother_sensor
        The one that the volume, or its mother, is a part of.
    """

    place: Place
    mother: Place | None
    transform: Transform
    sensors: _SensorTree
    sensor: Sensor | None
    mother_sensor: Sensor | None
    path: Path

    def inner(self, number: int) -> "_Here":
        """Return where one of the volume's placements is."""
        placement = self.place.volume.placements[number]
        sensors = self.sensors.inner.get(placement, _SensorTree())
        return _Here(
            Place(placement, placement.volume, self.place.volume),
            self.place,
            self.transform.after(placement.transform),
            sensors,
            self.sensor or sensors.sensor,
            self.sensor,
            (*self.path, number),
        )

    def at(self, side: Side) -> tuple[Place | None, Sensor | None]:
        """Return the place on a side of a piece, and the sensor that it is a part of."""
        if side is None:
            return self.mother, self.mother_sensor
        place, sensor, sensors = self.place, self.sensor, self.sensors
        for number in side:
            placement = place.volume.placements[number]
            inner = Place(placement, placement.volume, place.volume)
            place, sensors = inner, sensors.inner.get(placement, _SensorTree())
            sensor = sensor or sensors.sensor
        return place, sensor


@dataclass(frozen=True, slots=True, eq=False)
class _SensorPiece:
    """A piece of a sensor that is no part of its own."""

    local: _LocalPiece
    here: _Here
    boundary: Boundary | None
    is_outer: bool


@dataclass(slots=True, eq=False)
class _Part:
    name: str
    solids: list[Json]
    sensors: list[Sensor] = field(default_factory=list)
    transforms: list[Transform] = field(default_factory=list)


_Sides = tuple[Side, Side]


def build_geometry(
    detector: VolumeTree, sensors: list[Sensor], options: ConversionOptions, report: ImportReport
) -> Json:
    """Return the geometry file of a detector.

    Raises
    ------
    DetectorImportError
        If something cannot be converted.
    """
    return _Builder(detector, sensors, options, report).build()


class _Builder:
    def __init__(
        self, detector: VolumeTree, sensors: list[Sensor], options: ConversionOptions, report: ImportReport
    ) -> None:
        self._detector, self._sensors, self._options, self._report = detector, sensors, options, report
        self._finder = BoundaryFinder(options.segments, report)
        self._optics = BoundaryOptics(detector, report, efficiency_scale=options.efficiency_scale)
        self._tree = _SensorTree()
        for sensor in sensors:
            self._tree.add(sensor)
        self._counts = _count_volumes(detector.world)
        self._parts: dict[object, _Part] = {}
        self._part_names = Names()
        self._pieces: list[BoundedPiece] = []
        self._apart: dict[int, list[_SensorPiece]] = {}
        self._in_parts: set[int] = set()
        self._inside: dict[Volume, list[_LocalPiece]] = {}
        self._touching: dict[Volume, dict[int, list[Piece]]] = {}

    def build(self) -> Json:
        world = self._detector.world
        materials = [volume.material for volume in self._counts]
        if all(material.is_opaque for material in materials):
            raise DetectorImportError(
                "no material has an index of refraction (RINDEX)", remedy="export the optical properties too"
            )
        for material in materials:
            self._optics.add_material(material)
        resolved = self._finder.resolve(world)
        self._walk(resolved, _Here(Place(None, world, None), None, IDENTITY, self._tree, None, None, ()))
        solids = solids_of(self._pieces, self._options.segments)
        for sensor in self._sensors:
            # Faces that a part has in common with others are left out: light does not notice them.
            if sensor.channel in self._apart and sensor.channel not in self._in_parts:
                solids += self._sensor_apart(sensor)
        arrays = [
            entry for part in self._parts.values() for entry in array_entries(part.name, part.transforms, part.sensors)
        ]
        geometry: Json = {"format": "std-sim-geometry", "version": 1, "materials": self._optics.materials}
        geometry |= {"surfaces": self._optics.surfaces, "solids": solids}
        if arrays:
            arrays.sort(key=lambda entry: (entry.get("first_channel") is None, entry.get("first_channel", 0)))
            geometry |= {"parts": {part.name: part.solids for part in self._parts.values()}, "arrays": arrays}
        return geometry

    def _walk(self, resolved: Resolved, here: _Here) -> None:
        """Take in everything within a volume: what holds one sensor or repeats becomes a part, all else its pieces."""
        for local in _locals(resolved, resolved.pieces):
            self._take_in(local, here)
        for number, child in enumerate(resolved.children):
            if child is None:
                continue
            inner, taken = here.inner(number), resolved.taken.get(number, set())
            if self._may_be_part(inner) and self._is_isolated(resolved, number, inner, here):
                self._add_to_part(child, inner)
                continue
            for local in _locals(child, child.default_pieces(taken)):
                self._take_in(local, inner)
            self._walk(child, inner)

    def _may_be_part(self, here: _Here) -> bool:
        if here.mother_sensor is not None:
            return False  # within a sensor that was taken apart
        n_sensors = here.sensors.n_sensors
        return n_sensors == 1 or (n_sensors == 0 and self._counts[here.place.volume] > 1)

    def _is_isolated(self, mother: Resolved, number: int, here: _Here, outside: _Here) -> bool:
        """Whether a placement touches nothing that light notices, and has its own surface whole."""
        child, taken = mother.children[number], mother.taken.get(number)
        if child is None or not taken:
            return True
        replaced = [piece for group in child.groups if group.own & taken for piece in group.pieces]
        if np.isin(child.free_faces, list(taken)).any():
            replaced.append(Piece((), child.free_faces, None, (), None))
        return not any(self._boundary(piece, here) for piece in replaced) and not any(
            self._boundary(piece, outside) for piece in self._pieces_touching(mother, number)
        )

    def _pieces_touching(self, mother: Resolved, number: int) -> list[Piece]:
        if mother.volume not in self._touching:
            found: dict[int, list[Piece]] = {}
            for piece in [*mother.pieces, *(piece for group in mother.groups for piece in group.pieces)]:
                for one in piece.touching:
                    found.setdefault(one, []).append(piece)
            self._touching[mother.volume] = found
        return self._touching[mother.volume].get(number, [])

    def _boundary(self, piece: Piece, here: _Here, *, factor: float = 1.0, is_ideal: bool = False) -> Boundary | None:
        inner, outer = here.at(piece.inner)[0], here.at(piece.outer)[0]
        return self._optics.between(inner, outer, factor=factor, is_ideal=is_ideal)

    def _add_to_part(self, resolved: Resolved, here: _Here) -> None:
        """Add a placement to the part that is equal to it."""
        pieces = [*_locals(resolved, resolved.default_pieces(set())), *self._pieces_inside(resolved)]
        by_sides: dict[_Sides, Piece] = {}
        for local in pieces:
            by_sides.setdefault((local.piece.inner, local.piece.outer), local.piece)
        sensor = here.sensors.only
        boundaries = self._boundaries(by_sides, here, sensor)
        signature = resolved.volume, sensor is None, tuple(boundaries.values())
        if signature not in self._parts:
            bounded = [
                _bounded(local, IDENTITY, (), boundary)
                for local in pieces
                if (boundary := boundaries[local.piece.inner, local.piece.outer]) is not None
            ]
            solids = solids_of(bounded, self._options.segments)
            if not solids:
                return
            self._parts[signature] = _Part(self._part_names.give(resolved.volume.name), solids)
        part = self._parts[signature]
        part.transforms.append(here.transform)
        if sensor is not None:
            part.sensors.append(sensor)
            self._in_parts.add(sensor.channel)

    def _boundaries(
        self, by_sides: dict[_Sides, Piece], here: _Here, sensor: Sensor | None
    ) -> dict[_Sides, Boundary | None]:
        boundaries: dict[_Sides, Boundary | None] = {}
        outer: list[_Sides] = []
        detects = False
        for sides, piece in by_sides.items():
            n_within = sum(here.at(side)[1] is not None for side in sides)
            # What detects light beside the sensor detects it for nobody.
            factor = 1.0 if sensor is None else sensor.efficiency if n_within else 0.0
            boundary = boundaries[sides] = self._boundary(piece, here, factor=factor)
            detects |= n_within > 0 and boundary is not None and boundary.detects
            if n_within == 1:
                outer.append(sides)
        if sensor is not None and not detects:
            if all(boundaries[sides] is None for sides in outer):
                # Light does not notice an envelope of its mother's material: what it sees first is in it.
                own = sensor.path[-1].volume
                seen = [sides for sides in boundaries if boundaries[sides] and own in _volumes(here, sides)]
                outer = seen or outer
            ideal = {sides: self._boundary(by_sides[sides], here, is_ideal=True) for sides in outer}
            self._refuse_blind(sensor, list(ideal.values()))
            boundaries |= ideal
        return boundaries

    def _take_in(self, local: _LocalPiece, here: _Here) -> None:
        """Add a piece to those that stand in the world, or to those of its sensor."""
        inside, outside = (here.at(side)[1] for side in (local.piece.inner, local.piece.outer))
        sensor = inside or outside
        boundary = self._boundary(local.piece, here, factor=1.0 if sensor is None else sensor.efficiency)
        if sensor is not None:
            is_outer = inside is not outside
            if is_outer and inside is not None and outside is not None:
                self._report.lose("sensors that touch each other", "one of two has the light of their common face")
            self._apart.setdefault(sensor.channel, []).append(_SensorPiece(local, here, boundary, is_outer))
        elif boundary is not None:
            self._pieces.append(_bounded(local, here.transform, here.path, boundary))

    def _sensor_apart(self, sensor: Sensor) -> list[Json]:
        """Return the solids of a sensor that touches something; where they are several they become a part."""
        pieces = [(one, one.boundary) for one in self._apart[sensor.channel]]
        if not any(boundary is not None and boundary.detects for _, boundary in pieces):
            pieces = [
                (one, self._boundary(one.local.piece, one.here, is_ideal=True) if one.is_outer else boundary)
                for one, boundary in pieces
            ]
            self._refuse_blind(sensor, [boundary for one, boundary in pieces if one.is_outer])
        for frame in (IDENTITY, sensor.transform.inverse()):
            bounded = [
                _bounded(one.local, frame.after(one.here.transform), one.here.path, boundary)
                for one, boundary in pieces
                if boundary is not None
            ]
            solids = solids_of(bounded, self._options.segments)
            if len(solids) == 1:
                return [solids[0] | single_entry(sensor)]
        signature = json.dumps(_rounded(solids))
        if signature not in self._parts:
            self._parts[signature] = _Part(self._part_names.give(sensor.path[-1].volume.name), solids)
        self._parts[signature].sensors.append(sensor)
        self._parts[signature].transforms.append(sensor.transform)
        return []

    def _refuse_blind(self, sensor: Sensor, ideal: list[Boundary | None]) -> None:
        """Refuse a sensor that detects nothing, unless it shall be ideal and has boundaries that light comes to."""
        if not any(ideal):
            raise DetectorImportError(
                f"no light comes to channel {sensor.channel} ('{sensor.name}'): it is opaque on both sides",
                remedy="give the material around it an index of refraction (RINDEX)",
            )
        if not self._options.has_ideal_sensors:
            raise DetectorImportError(
                f"channel {sensor.channel} ('{sensor.name}') has no boundary that detects light",
                remedy="give it a surface with EFFICIENCY, or use --ideal-sensors",
            )

    def _pieces_inside(self, resolved: Resolved) -> list[_LocalPiece]:
        """Return everything within a volume, in its coordinates."""
        if resolved.volume not in self._inside:
            pieces = _locals(resolved, resolved.pieces)
            for number, child in enumerate(resolved.children):
                if child is not None:
                    taken = resolved.taken.get(number, set())
                    inner = [*_locals(child, child.default_pieces(taken)), *self._pieces_inside(child)]
                    pieces += [_prefixed(local, number, resolved.volume) for local in inner]
            self._inside[resolved.volume] = pieces
        return self._inside[resolved.volume]


def _volumes(here: _Here, sides: _Sides) -> list[Volume]:
    return [place.volume for place, _ in (here.at(side) for side in sides) if place is not None]


def _rounded(value: object) -> object:
    """Return solids without the differences that rounding makes between equal ones at different places."""
    if isinstance(value, float):
        return round(value, 6) + 0.0
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    return value


def _locals(resolved: Resolved, pieces: list[Piece]) -> list[_LocalPiece]:
    locals_ = []
    for piece in pieces:
        owner, transform = resolved, IDENTITY
        for number in piece.owner:
            transform = transform.after(owner.volume.placements[number].transform)
            child = owner.children[number]
            if child is None:
                raise AssertionError("a solid that was left out owns nothing")
            owner = child
        locals_.append(_LocalPiece(piece, piece.owner, owner, transform))
    return locals_


def _prefixed(local: _LocalPiece, number: int, volume: Volume) -> _LocalPiece:
    """Return a piece of a placement as its mother sees it."""
    transform, piece = volume.placements[number].transform, local.piece
    inner, outer = (() if side is None else (number, *side) for side in (piece.inner, piece.outer))
    triangles = None if piece.triangles is None else _moved(piece.triangles, transform)
    owner = (number, *local.owner)
    return _LocalPiece(
        Piece(owner, piece.faces, triangles, inner, outer), owner, local.resolved, transform.after(local.transform)
    )


def _bounded(local: _LocalPiece, transform: Transform, path: Path, boundary: Boundary) -> BoundedPiece:
    piece = local.piece
    return BoundedPiece(
        (*path, *local.owner),
        local.resolved.volume.solid,
        local.resolved.facets,
        transform.after(local.transform),
        boundary,
        piece.faces,
        None if piece.triangles is None else _moved(piece.triangles, transform),
    )


def _moved(triangles: Points, transform: Transform) -> Points:
    return transform.apply(triangles.reshape(-1, 3)).reshape(-1, 3, 3)


def _count_volumes(world: Volume) -> dict[Volume, int]:
    """Return how often each volume stands somewhere, in the order of the tree; at most 2 is told."""
    counts = {world: 1}

    def walk(volume: Volume) -> None:
        for placement in volume.placements:
            inner = placement.volume
            if counts.get(inner, 0) < 2:
                counts[inner] = counts.get(inner, 0) + 1
                walk(inner)

    walk(world)
    return counts
