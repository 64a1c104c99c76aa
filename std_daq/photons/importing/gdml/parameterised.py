"""Solids of parameterised volumes: their dimensions have other names than those of the solids themselves."""

from std_daq.photons.importing.gdml.definitions import Definitions
from std_daq.photons.importing.gdml.solids import SolidReader
from std_daq.photons.importing.gdml.xml_tree import XmlNode
from std_daq.photons.importing.solids import VolumeSolid

# Dimensions of a parameterised solid -> attributes of the solid. Half lengths ("hz") are doubled.
_KINDS = {
    "box_dimensions": ("box", {"x": "x", "y": "y", "z": "z"}),
    "tube_dimensions": (
        "tube", {"InR": "rmin", "OutR": "rmax", "hz": "z", "StartPhi": "startphi", "DeltaPhi": "deltaphi"},
    ),
    "cone_dimensions": (
        "cone",
        {"rmin1": "rmin1", "rmax1": "rmax1", "rmin2": "rmin2", "rmax2": "rmax2", "z": "z", "startphi": "startphi",
         "deltaphi": "deltaphi"},
    ),
    "orb_dimensions": ("orb", {"r": "r"}),
    "sphere_dimensions": (
        "sphere",
        {"rmin": "rmin", "rmax": "rmax", "startphi": "startphi", "deltaphi": "deltaphi", "starttheta": "starttheta",
         "deltatheta": "deltatheta"},
    ),
    "trd_dimensions": ("trd", {"x1": "x1", "x2": "x2", "y1": "y1", "y2": "y2", "z": "z"}),
}  # fmt: skip


def parameterised_solid(parameters: XmlNode, definitions: Definitions, name: str) -> VolumeSolid:
    """Return the solid of one copy.

    Raises
    ------
    DetectorImportError
        If it is of a kind that cannot be converted.
    """
    for node in parameters.children:
        if not node.tag.endswith("_dimensions"):
            continue
        if node.tag not in _KINDS:
            raise node.error(f"<{node.tag}> cannot be converted", "place the volumes one by one")
        kind, names = _KINDS[node.tag]
        attributes = {names[key]: text for key, text in node.attributes.items() if key in names}
        if "hz" in node.attributes:
            attributes["z"] = f"2*({node.attributes['hz']})"
        units = {key: text for key, text in node.attributes.items() if key in {"lunit", "aunit"}}
        reader = SolidReader(definitions)
        reader.read(XmlNode(kind, {"name": name} | attributes | units, node.file, node.line))
        return reader.solids[name]
    raise parameters.error("<parameters> has no dimensions")
