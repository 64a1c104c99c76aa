"""The volumes of GDML and what stands in them: placements, assemblies, replicas, divisions, loops, other files."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from std_daq.photons.importing.detector import IDENTITY, PlacedVolume, Transform, Volume, without_pointer
from std_daq.photons.importing.gdml.definitions import Definitions, defined
from std_daq.photons.importing.gdml.optics import OpticsReader
from std_daq.photons.importing.gdml.parameterised import parameterised_solid
from std_daq.photons.importing.gdml.solids import SolidReader
from std_daq.photons.importing.gdml.xml_tree import XmlNode
from std_daq.photons.importing.solids import BoxSolid, Turned, VolumeSolid

MAX_LEVELS = 200
"""Volumes within each other. Detectors have about ten levels."""

_AXES = {"kXAxis": 0, "kYAxis": 1, "kZAxis": 2}


@dataclass(slots=True)
class _Draft:
    """A placement before the volumes are made."""

    name: str
    reference: str
    transform: Transform
    copy_number: int
    node: XmlNode
    volume: Volume | None = None
    solid: VolumeSolid | None = None


@dataclass(slots=True)
class _VolumeDraft:
    node: XmlNode
    drafts: list[_Draft]
    solid: VolumeSolid | None = None
    material: str = ""
    is_sensitive: bool = False
    volume: Volume | None = None


@dataclass(slots=True)
class StructureReader:
    """Reads the volumes of a file.

    Attributes
    ----------
    placements
        All placements of a name, with pointer; a loop makes several.
    read_file
        Reads another file, and returns its world or the volume of the name given.
    """

    definitions: Definitions
    solids: SolidReader
    optics: OpticsReader
    read_file: Callable[[XmlNode, str, str], Volume]
    placements: dict[str, list[PlacedVolume]] = field(default_factory=dict)
    surfaces: list[tuple[XmlNode, str, list[str]]] = field(default_factory=list)
    _drafts: dict[str, _VolumeDraft] = field(default_factory=dict)
    _variants: dict[Volume, list[Volume]] = field(default_factory=dict)
    _under_way: list[str] = field(default_factory=list)

    def read(self, section: XmlNode) -> None:
        """Take in a section; volumes are made when they are asked for."""
        for node in self.definitions.unrolled(section):
            if node.tag == "volume":
                self._read_volume(node)
            elif node.tag == "assembly":
                name = self.definitions.name_of(node)
                self._drafts[name] = _VolumeDraft(node, self._read_content(node, None))
            elif node.tag == "skinsurface":
                self._read_surface(node, "volumeref", 1)
            elif node.tag == "bordersurface":
                self._read_surface(node, "physvolref", 2)

    def volume(self, name: str, node: XmlNode) -> Volume:
        """Return a volume by its name, with all that stands in it.

        Raises
        ------
        DetectorImportError
            If it is missing, or stands within itself.
        """
        draft = defined(self._drafts, name, "volume", node)
        if draft.volume is not None:
            return draft.volume
        if draft.solid is None:
            raise node.error(f"assembly '{name}' cannot stand here: it is no volume")
        self._enter(name, node)
        material = self.optics.material(draft.material, draft.node)
        volume = Volume(without_pointer(name), draft.solid, material, is_sensitive=draft.is_sensitive)
        self._place(volume, draft, IDENTITY)
        draft.volume = volume
        self._under_way.pop()
        return volume

    def variants(self, volume: Volume) -> list[Volume]:
        """Return a volume, and those that are made of it with other dimensions."""
        return [volume, *self._variants.get(volume, [])]

    def has_volume(self, name: str) -> bool:
        """Whether there is a volume of this name."""
        return name in self._drafts

    def _enter(self, name: str, node: XmlNode) -> None:
        if name in self._under_way:
            raise node.error(f"volume '{name}' stands within itself: {' > '.join([*self._under_way, name])}")
        if len(self._under_way) >= MAX_LEVELS:
            raise node.error(f"more than {MAX_LEVELS} volumes stand within each other")
        self._under_way.append(name)

    def _place(self, mother: Volume, content: _VolumeDraft, moved: Transform) -> None:
        """Place what a draft holds; an assembly leaves its content in its place."""
        for draft in content.drafts:
            transform = moved.after(draft.transform)
            inner = self._drafts.get(draft.reference)
            if draft.volume is None and inner is not None and inner.solid is None:
                self._enter(draft.reference, draft.node)
                self._place(mother, inner, transform)
                self._under_way.pop()
                continue
            volume = draft.volume or self.volume(draft.reference, draft.node)
            if draft.solid is not None:
                general = volume
                volume = Volume(general.name, draft.solid, general.material, general.placements, general.is_sensitive)
                self._variants.setdefault(general, []).append(volume)
            placement = PlacedVolume(without_pointer(draft.name), volume, transform, draft.copy_number)
            mother.placements.append(placement)
            self.placements.setdefault(draft.name, []).append(placement)

    def _read_volume(self, node: XmlNode) -> None:
        name = self.definitions.name_of(node)
        solid = self.solids.find(self.definitions.reference(node, "solidref"), node)
        is_sensitive = any(one.attributes.get("auxtype") == "SensDet" for one in node.find_all("auxiliary"))
        material = self.definitions.reference(node, "materialref")
        self._drafts[name] = _VolumeDraft(node, self._read_content(node, solid), solid, material, is_sensitive)

    def _read_content(self, node: XmlNode, solid: VolumeSolid | None) -> list[_Draft]:
        drafts = []
        for child in self.definitions.unrolled(node):
            if child.tag == "physvol":
                drafts.append(self._read_placement(child))
            elif child.tag == "replicavol":
                drafts += self._read_replicas(child)
            elif child.tag == "divisionvol":
                drafts += self._read_divisions(child, solid)
            elif child.tag == "paramvol":
                drafts += self._read_parameterised(child)
        return drafts

    def _read_placement(self, node: XmlNode) -> _Draft:
        if not np.array_equal(self.definitions.scale(node), np.ones(3)):
            raise node.error("a placement with a scale cannot be converted", "write the volume as it shall be")
        transform = Transform(self.definitions.rotation(node).T, self.definitions.position(node))
        copy_number = round(self.definitions.number(node, "copynumber", 0.0))
        file, volume = node.find("file"), None
        if file is not None:
            volume = self.read_file(file, file.required_attribute("name"), self.definitions.name_of(file, "volname"))
        reference = "" if file is not None else self.definitions.reference(node, "volumeref")
        name = self.definitions.name_of(node) or f"{without_pointer(reference)}_PV"
        return _Draft(name, reference, transform, copy_number, node, volume)

    def _read_replicas(self, node: XmlNode) -> list[_Draft]:
        along = node.required("replicate_along_axis")
        direction = along.required("direction")
        axis = next((one for one in ("x", "y", "z", "rho", "phi") if self.definitions.number(direction, one, 0.0)), "")
        n = self._count(node, "number")
        width = self._quantity(along.required("width"))
        offset_node = along.find("offset")
        offset = 0.0 if offset_node is None else self._quantity(offset_node)
        steps = np.arange(n)
        if axis == "phi":
            transforms = [_about_z(offset + (step + 0.5) * width) for step in steps]
        elif axis in {"x", "y", "z"}:
            transforms = [_along("xyz".index(axis), (step - (n - 1) / 2) * width) for step in steps]
        else:
            raise node.error(
                f"replicas along '{axis or 'no axis'}' cannot be converted", "place the volumes one by one"
            )
        return self._copies(node, transforms)

    def _read_divisions(self, node: XmlNode, mother: VolumeSolid | None) -> list[_Draft]:
        axis = node.required_attribute("axis")
        unit = self.definitions.unit(node, "unit")
        offset = self.definitions.number(node, "offset", 0.0) * unit
        begin, extent = _extent(mother, axis)
        if math.isnan(begin):
            raise node.error(
                f"a division along '{axis}' of this solid cannot be converted", "place the volumes one by one"
            )
        width = self.definitions.number(node, "width", 0.0) * unit
        n = self._count(node, "number") if "number" in node.attributes else int((extent - offset) / width + 1e-9)
        width = width or (extent - offset) / n
        centres = [begin + offset + (step + 0.5) * width for step in range(n)]
        if axis == "kPhi":
            return self._copies(node, [_about_z(centre) for centre in centres])
        return self._copies(node, [_along(_AXES[axis], centre) for centre in centres])

    def _read_parameterised(self, node: XmlNode) -> list[_Draft]:
        reference = self.definitions.reference(node, "volumeref")
        position_size = node.required("parameterised_position_size")
        drafts = []
        for number, parameters in enumerate(
            one for one in self.definitions.unrolled(position_size) if one.tag == "parameters"
        ):
            name = f"{self.definitions.name_of(node) or without_pointer(reference)}_{number}"
            transform = Transform(self.definitions.rotation(parameters).T, self.definitions.position(parameters))
            solid = parameterised_solid(parameters, self.definitions, name)
            drafts.append(_Draft(name, reference, transform, number, node, solid=solid))
        return drafts

    def _copies(self, node: XmlNode, transforms: list[Transform]) -> list[_Draft]:
        reference = self.definitions.reference(node, "volumeref")
        name = self.definitions.name_of(node) or f"{without_pointer(reference)}_PV"
        return [_Draft(name, reference, transform, number, node) for number, transform in enumerate(transforms)]

    def _count(self, node: XmlNode, attribute: str) -> int:
        n = round(self.definitions.number(node, attribute))
        if not 1 <= n <= 1_000_000:
            raise node.error(f"{n} copies")
        return n

    def _quantity(self, node: XmlNode) -> float:
        return self.definitions.number(node, "value") * self.definitions.unit(node, "unit")

    def _read_surface(self, node: XmlNode, tag: str, n: int) -> None:
        references = [self.definitions.name_of(one, "ref") for one in node.find_all(tag)]
        if len(references) != n:
            raise node.error(f"<{node.tag}> has {len(references)} <{tag}>; it needs {n}")
        self.surfaces.append((node, self.definitions.name_of(node, "surfaceproperty"), references))


def _about_z(angle: float) -> Transform:
    cos, sin = math.cos(angle), math.sin(angle)
    return Transform(np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]), np.zeros(3))


def _along(axis: int, distance: float) -> Transform:
    position = np.zeros(3)
    position[axis] = distance
    return Transform(np.eye(3), position)


def _extent(solid: VolumeSolid | None, axis: str) -> tuple[float, float]:
    """Return where a solid begins along an axis, and how far it goes; NaN where that is not known."""
    if isinstance(solid, BoxSolid) and axis in _AXES:
        size = solid.size[_AXES[axis]]
        return -size / 2, size
    if isinstance(solid, Turned) and axis == "kPhi":
        return solid.begin, solid.angle
    if isinstance(solid, Turned) and axis == "kZAxis":
        z = solid.facets(8).vertices[:, 2]
        return float(z.min()), float(np.ptp(z))
    return math.nan, math.nan
