"""Materials and surfaces as arrays over one grid of wavelengths."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from std_daq.errors import ConfigError
from std_daq.photons.geometry.fields import Spectrum, Table
from std_daq.photons.geometry.file import GeometryFile
from std_daq.photons.geometry.optics_sections import Decay, DefaultSurface, Dichroic, Material, ThinFilm, WlsSurface
from std_daq.photons.geometry.records import (
    COMPONENT,
    DEFAULT,
    DICHROIC,
    EMISSION,
    MATERIAL,
    OPTICS,
    SURFACE,
    THIN_FILM,
    WLS,
)

LIGHT_SPEED = 299.792458
"""mm/ns, in vacuum."""

_MAX_RANGE_NM = 1_000_000


def wavelength_grid(geometry: GeometryFile) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Return each whole nm and each point of a table, and the index of each whole nm.

    Between them, inverse lengths are taken as straight; at the points, all tables are exact.
    """
    points = np.unique([point for table in _tables(geometry) for point in table.wavelength] or [400.0])
    low, high = np.floor(points[0]), np.ceil(points[-1])
    if high - low > _MAX_RANGE_NM:
        raise ConfigError(
            f"the tables reach from {points[0]:g} to {points[-1]:g} nm",
            key="materials",
            remedy=f"wavelengths are in nm; cut what is more than {_MAX_RANGE_NM} nm away",
        )
    whole = np.arange(low, max(high, low + 1) + 1)
    grid = np.union1d(whole, points)
    return grid, np.searchsorted(grid, whole).astype(np.int32)


def _tables(section: object) -> Iterator[Table]:
    """Return all tables in a section, or in a list or dictionary of sections."""
    if isinstance(section, Spectrum):
        return
    if isinstance(section, Table):
        yield section
    elif isinstance(section, GeometryFile):
        yield from _tables([section.materials, section.surfaces])
    elif isinstance(section, BaseModel):
        yield from _tables([getattr(section, name) for name in type(section).model_fields])
    elif isinstance(section, dict):
        yield from _tables(list(section.values()))
    elif isinstance(section, list):
        for one in section:
            yield from _tables(one)


@dataclass(slots=True)
class Optics:
    """Collects curves, spectra and decays while materials and surfaces are compiled."""

    grid: NDArray[np.float64]
    velocity: str
    curves: list[NDArray[np.float64]] = field(default_factory=list)
    spectra: list[NDArray[np.float64]] = field(default_factory=list)
    decays: list[NDArray[np.float64]] = field(default_factory=list)
    emissions: list[tuple[int, int, int, int, float]] = field(default_factory=list)
    components: list[tuple[int, int, int]] = field(default_factory=list)
    angles: list[float] = field(default_factory=list)

    def material(self, material: Material) -> tuple[tuple[int, int], NDArray[np.void]]:
        """Return the record of a material, and its optics over the grid."""
        optics = np.zeros(len(self.grid), OPTICS)
        optics["index"] = material.refractive_index.at(self.grid)
        table = material.refractive_index if self.velocity == "phase" else material.group_index_table()
        optics["slowness"] = table.at(self.grid) / LIGHT_SPEED
        optics["absorption"] = self._inverse(material.absorption_length)
        optics["scattering"] = self._inverse(material.scattering_length)
        first = len(self.components)
        for component in material.reemission:
            inverse = self._inverse(component.absorption_length)
            optics["absorption"] += inverse
            emission = self._emission(component.spectrum, component.decay_times, component.rise_time)
            curve = self._add([inverse, component.probability.at(self.grid)])
            self.components.append((curve, curve + 1, emission))
        return (first, len(material.reemission)), optics

    def surface(self, surface: DefaultSurface | ThinFilm | WlsSurface | Dichroic) -> tuple[int | float, ...]:
        """Return the record of a surface."""
        if isinstance(surface, ThinFilm):
            curve = self._add_tables([surface.eta, surface.k, surface.efficiency, surface.reflect_diffuse])
            flags = int(surface.transmissive), int(surface.scale_efficiency)
            return THIN_FILM, curve, -1, *flags, 0, 0, surface.thickness_nm
        if isinstance(surface, WlsSurface):
            absorb, reemit = surface.absorb.at(self.grid), surface.reemit.at(self.grid)
            diffuse, specular = surface.reflect_diffuse.at(self.grid), surface.reflect_specular.at(self.grid)
            curve = self._add([absorb, reemit, absorb + diffuse, absorb + diffuse + specular])
            return WLS, curve, self._emission(surface.spectrum, surface.decay_times, 0.0), 0, 0, 0, 0, 0.0
        if isinstance(surface, Dichroic):
            curve = self._add_tables(
                [table for pair in zip(surface.reflect, surface.transmit, strict=True) for table in pair]
            )
            first = len(self.angles)
            self.angles += surface.angles
            return DICHROIC, curve, -1, 0, 0, first, len(surface.angles), 0.0
        shares = [surface.absorb, surface.detect, surface.reflect_diffuse, surface.reflect_specular]
        curve = self._add(list(np.cumsum([table.at(self.grid) for table in shares], axis=0)))
        return DEFAULT, curve, -1, 0, 0, 0, 0, 0.0

    def _inverse(self, length: Table | None) -> NDArray[np.float64]:
        return np.zeros(len(self.grid)) if length is None else 1.0 / length.at(self.grid)

    def _add_tables(self, tables: Sequence[Table]) -> int:
        return self._add([table.at(self.grid) for table in tables])

    def _add(self, curves: Sequence[NDArray[np.float64]]) -> int:
        """Add curves; returns the index of the first."""
        self.curves += curves
        return len(self.curves) - len(curves)

    def _emission(self, spectrum: Spectrum, decays: Sequence[Decay], rise_time: float) -> int:
        first_spectrum, first_decay = sum(map(len, self.spectra)), sum(map(len, self.decays))
        self.spectra.append(spectrum.cumulative())
        if decays:
            times, weights = np.array(decays).T
            self.decays.append(np.column_stack([times, np.cumsum(weights) / weights.sum()]))
        self.emissions.append((first_spectrum, len(self.spectra[-1]), first_decay, len(decays), rise_time))
        return len(self.emissions) - 1


@dataclass(frozen=True, slots=True)
class OpticalTables:
    """Materials and surfaces, compiled; the fields are those of `std_daq.photons.geometry.scene.Scene`."""

    grid: NDArray[np.float64]
    first_at: NDArray[np.int32]
    optics: NDArray[np.void]
    materials: NDArray[np.void]
    components: NDArray[np.void]
    emissions: NDArray[np.void]
    surfaces: NDArray[np.void]
    curves: NDArray[np.float64]
    spectra: NDArray[np.float64]
    decays: NDArray[np.float64]
    angles: NDArray[np.float64]


def compile_optics(geometry: GeometryFile) -> OpticalTables:
    """Return materials and surfaces of a geometry in their order there."""
    grid, first_at = wavelength_grid(geometry)
    made = Optics(grid, geometry.physics.velocity)
    materials = [made.material(material) for material in geometry.materials.values()]
    surfaces = [made.surface(surface) for surface in geometry.surfaces.values()]
    return OpticalTables(
        grid,
        first_at,
        np.stack([optics for _, optics in materials]) if materials else np.zeros((0, len(grid)), OPTICS),
        np.array([record for record, _ in materials], MATERIAL),
        np.array(made.components, COMPONENT),
        np.array(made.emissions, EMISSION),
        np.array(surfaces, SURFACE),
        _joined(made.curves, len(grid)),
        np.concatenate([np.zeros((0, 2)), *made.spectra]),
        np.concatenate([np.zeros((0, 2)), *made.decays]),
        np.array(made.angles, np.float64),
    )


def _joined(curves: Iterable[NDArray[np.float64]], n_points: int) -> NDArray[np.float64]:
    rows = list(curves)
    return np.stack(rows) if rows else np.zeros((0, n_points))
