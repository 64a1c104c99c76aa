"""read_gdml: a GDML file as a detector."""

from pathlib import Path

from std_daq.photons.importing.detector import Border, Volume, VolumeTree, without_pointer
from std_daq.photons.importing.errors import DetectorImportError
from std_daq.photons.importing.gdml.definitions import Definitions, defined
from std_daq.photons.importing.gdml.optics import OpticsReader
from std_daq.photons.importing.gdml.solids import SolidReader
from std_daq.photons.importing.gdml.structure import StructureReader
from std_daq.photons.importing.gdml.xml_tree import XmlNode, read_xml
from std_daq.photons.importing.report import ImportReport


def read_gdml(path: Path, report: ImportReport) -> VolumeTree:
    """Read a file, and the files that it includes.

    Raises
    ------
    DetectorImportError
        If it is no GDML, or refers to something that is missing.
    OSError
        If a file cannot be read.
    """
    return _File(path, report, []).detector("")


class _File:
    def __init__(self, path: Path, report: ImportReport, including: list[Path]) -> None:
        self._path, self._report, self._including = path, report, including
        root = read_xml(path)
        if root.tag not in {"gdml", "gdml_simple_extension"}:
            raise root.error(f"the root is <{root.tag}>, not <gdml>")
        definitions = Definitions()
        self._solids = SolidReader(definitions)
        self._optics = OpticsReader(definitions)
        self._structure = StructureReader(definitions, self._solids, self._optics, self._read_module)
        self._definitions = definitions
        self._root = root
        self._modules: list[VolumeTree] = []
        for section in root.children:
            self._read_section(section)

    def _read_section(self, section: XmlNode) -> None:
        if section.tag == "define":
            self._definitions.read(section)
        elif section.tag == "materials":
            for node in self._definitions.unrolled(section):
                if node.tag == "material":
                    self._optics.read_material(node)
                elif node.tag == "define":
                    self._definitions.read(node)
        elif section.tag == "solids":
            for node in self._definitions.unrolled(section):
                if node.tag == "opticalsurface":
                    self._optics.read_surface(node)
                elif node.tag == "define":
                    self._definitions.read(node)
                elif node.tag != "loop":
                    self._solids.read(node)
        elif section.tag == "structure":
            self._structure.read(section)

    def detector(self, volume: str) -> VolumeTree:
        """Return the detector whose world is a volume, or that of the file's set-up."""
        name, node = volume, self._root
        if not volume:
            setups = list(self._root.find_all("setup"))
            if not setups:
                raise self._root.error("the file has no <setup>, which names the world")
            setup = next((one for one in setups if one.attributes.get("name") == "Default"), setups[0])
            node = setup.required("world")
            name = self._definitions.name_of(node, "ref")
        detector = VolumeTree(self._structure.volume(name, node))
        for module in self._modules:
            detector.skins |= module.skins
            detector.borders += module.borders
        self._attach_surfaces(detector)
        return detector

    def _attach_surfaces(self, detector: VolumeTree) -> None:
        for node, property_name, references in self._structure.surfaces:
            surface = defined(self._optics.surfaces, property_name, "optical surface", node)
            if node.tag == "skinsurface":
                if not self._structure.has_volume(references[0]):
                    raise node.error(f"no volume '{references[0]}' is defined")
                for one in self._structure.variants(self._structure.volume(references[0], node)):
                    detector.skins[one] = surface
                continue
            before, behind = (self._structure.placements.get(one, [None]) for one in references)
            if before == behind == [None]:
                raise node.error(f"no placements '{references[0]}' and '{references[1]}' are defined")
            if [None] in (before, behind):
                # RAT before April 2026 names a PMT's body by a placement that it does not write.
                known, unknown = references if behind == [None] else references[::-1]
                self._report.note(
                    f"border surface '{without_pointer(self._definitions.name_of(node))}'",
                    f"placement '{without_pointer(unknown)}' is not in the file;"
                    f" taken for each mother of '{without_pointer(known)}'",
                )
            detector.borders += [Border(a, b, surface) for a in before for b in behind]

    def _read_module(self, node: XmlNode, name: str, volume: str) -> Volume:
        path = self._path.parent / name
        chain = [*self._including, self._path]
        if not path.resolve().is_relative_to(chain[0].parent.resolve()):
            raise node.error(f"'{name}' is not in the folder of the detector", "copy it there")
        if path.resolve() in [one.resolve() for one in chain]:
            raise node.error(f"'{name}' includes itself")
        if not path.is_file():
            raise DetectorImportError(f"there is no file '{name}'", file=node.place)
        module = _File(path, self._report, chain).detector(volume)
        self._modules.append(module)
        return module.world
