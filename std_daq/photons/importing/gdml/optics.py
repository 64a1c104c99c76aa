"""Materials and optical surfaces of GDML, with their tables in MeV, mm and ns."""

from dataclasses import dataclass, field

import numpy as np

from std_daq.photons.importing.detector import DichroicTable, Medium, OpticalSurface, PropertyTable, without_pointer
from std_daq.photons.importing.gdml.definitions import Definitions, defined
from std_daq.photons.importing.gdml.xml_tree import XmlNode

_MODELS = ["glisur", "unified", "LUT", "DAVIS", "dichroic"]
_FINISHES = [
    "polished", "polishedfrontpainted", "polishedbackpainted", "ground", "groundfrontpainted", "groundbackpainted",
]  # fmt: skip
_TYPES = [
    "dielectric_metal", "dielectric_dielectric", "dielectric_LUT", "dielectric_LUTDAVIS", "dielectric_dichroic",
    "firsov", "x_ray", "coated",
]  # fmt: skip


@dataclass(slots=True)
class OpticsReader:
    """Reads the materials and the optical surfaces of a file.

    Attributes
    ----------
    materials, surfaces
        By name, with pointer.
    """

    definitions: Definitions
    materials: dict[str, Medium] = field(default_factory=dict)
    surfaces: dict[str, OpticalSurface] = field(default_factory=dict)

    def read_material(self, node: XmlNode) -> None:
        """Take in a material."""
        name = self.definitions.name_of(node)
        self.materials[name] = Medium(without_pointer(name), self._properties(node))

    def read_surface(self, node: XmlNode) -> None:
        """Take in an optical surface."""
        name = self.definitions.name_of(node)
        self.surfaces[name] = OpticalSurface(
            without_pointer(name),
            self._choice(node, "model", _MODELS),
            self._choice(node, "finish", _FINISHES),
            self._choice(node, "type", _TYPES),
            self.definitions.number(node, "value", 1.0),
            self._properties(node),
            self._dichroic(node),
        )

    def material(self, name: str, node: XmlNode) -> Medium:
        """Return a material that a volume refers to; Geant4 knows those called G4_... without a definition."""
        if name not in self.materials and name.startswith("G4_"):
            self.materials[name] = Medium(name, {})
        return defined(self.materials, name, "material", node)

    def _properties(self, node: XmlNode) -> dict[str, PropertyTable]:
        properties = {}
        for child in node.find_all("property"):
            reference = self.definitions.name_of(child, "ref")
            value = self.definitions.evaluator.names.get(reference)
            rows = np.array([[value]]) if value is not None else self.definitions.matrix(child, reference)
            properties[self.definitions.name_of(child)] = PropertyTable(rows)
        return properties

    def _choice(self, node: XmlNode, attribute: str, names: list[str]) -> str:
        """Return the name of what a file gives as a name or as Geant4's number."""
        text = node.attributes.get(attribute, "0").strip()
        if not text.isdecimal():
            return text
        return names[int(text)] if len(text) < 4 and int(text) < len(names) else text

    def _dichroic(self, node: XmlNode) -> DichroicTable | None:
        data = node.find("dichroic_data")
        if data is None:
            return None
        wavelengths, angles, values = (
            np.array(self.definitions.values(data.required(tag), "values")) for tag in ("x", "y", "data")
        )
        if len(values) != len(wavelengths) * len(angles) or not len(values):
            raise data.error(f"{len(values)} values for {len(wavelengths)} wavelengths and {len(angles)} angles")
        return DichroicTable(wavelengths, angles, values.reshape(len(wavelengths), len(angles)))
