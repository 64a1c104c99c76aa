"""What light meets between two volumes: their materials, and the surface that Geant4 would choose."""

from dataclasses import dataclass, field

from std_daq.photons.importing.detector import Medium, OpticalSurface, PlacedVolume, Volume, VolumeTree
from std_daq.photons.importing.materials import convert_material
from std_daq.photons.importing.report import ImportReport
from std_daq.photons.importing.surfaces import ABSORBING, Efficiency, SurfaceConverter
from std_daq.photons.importing.tables import Json

IDEAL = {"detect": 1}


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """A volume where it stands, and the one that it stands in; the world has neither placement nor mother."""

    placement: PlacedVolume | None
    volume: Volume
    mother: Volume | None


@dataclass(frozen=True, slots=True)
class Boundary:
    """What the two sides of a piece of surface are.

    Parameters
    ----------
    inner, outer
        Names of materials.
    surface
        Name of a surface; None for a plain one.
    detects
        Whether the surface detects light.
    """

    inner: str
    outer: str
    surface: str | None
    detects: bool


@dataclass(slots=True)
class Names:
    """Names that are given once; who comes later with a name that is taken gets a number."""

    _taken: set[str] = field(default_factory=set)

    def give(self, name: str) -> str:
        """Return a name that nothing else has."""
        number, given = 1, name or "unnamed"
        while given in self._taken:
            number += 1
            given = f"{name} {number}"
        self._taken.add(given)
        return given


class BoundaryOptics:
    """Finds boundaries, and gathers the materials and surfaces that they need.

    Attributes
    ----------
    materials, surfaces
        Entries of the geometry file.
    """

    def __init__(self, detector: VolumeTree, report: ImportReport, *, efficiency_scale: float) -> None:
        self._skins = detector.skins
        self._borders: dict[tuple[PlacedVolume | None, PlacedVolume | None], OpticalSurface] = {}
        for border in detector.borders:
            self._borders.setdefault((border.before, border.behind), border.surface)
        self._report = report
        self._scale = efficiency_scale
        self.materials: dict[str, Json] = {}
        self.surfaces: dict[str, Json] = {}
        self._material_names: dict[Medium, str] = {}
        self._surface_names: dict[tuple[OpticalSurface | None, bool, float], str | None] = {}
        self._names = {"material": Names(), "surface": Names()}

    def add_material(self, material: Medium) -> str:
        """Return a material's name; its entry is made when it comes first."""
        if material not in self._material_names:
            name = self._names["material"].give(material.name)
            self._material_names[material] = name
            self.materials[name] = convert_material(material, self._report)
        return self._material_names[material]

    def between(
        self, inner: Place | None, outer: Place | None, *, factor: float = 1.0, is_ideal: bool = False
    ) -> Boundary | None:
        """Return the boundary between two places; None if light notices nothing, or never comes there.

        Parameters
        ----------
        factor
            On the efficiency of the surface.
        is_ideal
            Whether it detects all light, whatever its surface is.
        """
        if inner is None or outer is None:
            return None  # the edge of the world
        opaque = inner.volume.material.is_opaque, outer.volume.material.is_opaque
        if all(opaque):
            return None
        if is_ideal:
            name: str | None = self._add_surface("ideal sensor", IDEAL)
        else:
            name = self._surface_name(self._surface(inner, outer), any(opaque), factor)
        if name is None and inner.volume.material is outer.volume.material:
            return None
        materials = self.add_material(inner.volume.material), self.add_material(outer.volume.material)
        return Boundary(*materials, name, name is not None and _detects(self.surfaces[name]))

    def _surface(self, inner: Place, outer: Place) -> OpticalSurface | None:
        """Return the surface for both directions."""
        ways = {"in": (outer, inner), "out": (inner, outer)}
        borders: dict[str, OpticalSurface | None] = {
            way: found for way, places in ways.items() if (found := self._border(*places)) is not None
        }
        # A border in one direction alone counts for both: RAT's photocathode is a film from either side.
        chosen = borders or {way: self._skin(*places) for way, places in ways.items()}
        if len(set(chosen.values())) == 1:
            return next(iter(chosen.values()))
        if inner.volume.material.is_opaque or outer.volume.material.is_opaque:
            return chosen["out" if outer.volume.material.is_opaque else "in"]
        names = " and ".join(f"'{one.name if one else 'none'}'" for one in chosen.values())
        self._report.lose(
            f"boundary '{inner.volume.name}' | '{outer.volume.name}'",
            f"different surfaces by direction, {names}; the one of the way into '{inner.volume.name}' is used",
        )
        return chosen["in"]

    def _border(self, before: Place, behind: Place) -> OpticalSurface | None:
        found = self._borders.get((before.placement, behind.placement))
        if found is None and before.mother is behind.volume:
            found = self._borders.get((before.placement, None))
        if found is None and behind.mother is before.volume:
            found = self._borders.get((None, behind.placement))
        return found

    def _skin(self, before: Place, behind: Place) -> OpticalSurface | None:
        """Return the skin that Geant4 takes: that of a daughter who is entered, else that of the volume left."""
        order = [before, behind]
        if behind.mother is before.volume:
            order.reverse()
        return next((self._skins[one.volume] for one in order if one.volume in self._skins), None)

    def _surface_name(self, surface: OpticalSurface | None, meets_opaque: bool, factor: float) -> str | None:
        if surface is None:
            return self._add_surface("opaque", ABSORBING) if meets_opaque else None
        key = surface, meets_opaque, factor
        if key not in self._surface_names:
            efficiency = Efficiency(self._scale, factor)
            entry = SurfaceConverter(surface, efficiency, self._report, meets_opaque=meets_opaque).convert()
            self._surface_names[key] = None if entry is None else self._add_surface(surface.name, entry)
        return self._surface_names[key]

    def _add_surface(self, name: str, entry: Json) -> str:
        """Return the name of an entry; two that are equal and of one name are one."""
        for known, other in self.surfaces.items():
            if other == entry and (known == name or known.startswith(f"{name} ")):
                return known
        given = self._names["surface"].give(name)
        self.surfaces[given] = dict(entry)
        return given


def _detects(entry: Json) -> bool:
    return any(entry.get(key, 0) != 0 for key in ("detect", "efficiency"))
