"""Optical surfaces of Geant4 and RAT as surfaces of the geometry file."""

from dataclasses import dataclass

import numpy as np

from std_daq.photons.importing.detector import OpticalSurface
from std_daq.photons.importing.errors import DetectorImportError
from std_daq.photons.importing.report import ImportReport
from std_daq.photons.importing.tables import Curve, Floats, Json, constant, curve, shares

ABSORBING = {"absorb": 1}
_METAL_FILM_NM = 10_000


@dataclass(frozen=True, slots=True)
class Efficiency:
    """What the efficiencies of surfaces are multiplied with.

    Parameters
    ----------
    scale
        Of all of them; the product is at most 1.
    factor
        Of one sensor.
    """

    scale: float = 1.0
    factor: float = 1.0

    def apply(self, values: Floats) -> Floats:
        """Return the efficiency."""
        return np.clip(np.clip(values * self.scale, 0, 1) * self.factor, 0, 1)


class SurfaceConverter:
    """Maps a surface; notes what is lost.

    Parameters
    ----------
    surface
        As the file describes it.
    meets_opaque
        Whether it covers an opaque medium: what would go on is absorbed.
    """

    def __init__(
        self, surface: OpticalSurface, efficiency: Efficiency, report: ImportReport, *, meets_opaque: bool
    ) -> None:
        self._surface, self._efficiency, self._report = surface, efficiency, report
        self._meets_opaque = meets_opaque
        self._reflectivity = self._curve("REFLECTIVITY", 1.0).map(lambda values: np.clip(values, 0, 1))
        self._detected = self._curve("EFFICIENCY", 0.0).map(efficiency.apply)

    def convert(self) -> Json | None:
        """Return the entry of the surface; None where it has no effect."""
        surface = self._surface
        if "KINDEX" in surface.properties and "RINDEX" in surface.properties:
            return self._film()
        if self._is_transmitting():
            self._lose("TRANSMITTANCE above 0; it has no surface")
            return self._plain()
        if surface.type == "dielectric_metal":
            return self._metal()
        if surface.type == "dielectric_dichroic":
            return self._dichroic()
        if surface.type == "dielectric_dielectric":
            return self._dielectric()
        self._lose(f"type {surface.type}; it has no surface")
        return self._plain()

    def _film(self) -> Json:
        properties = self._surface.properties
        if "THICKNESS" not in properties:
            raise DetectorImportError(
                "a film with RINDEX and KINDEX needs THICKNESS", file=f"optical surface '{self._surface.name}'"
            )
        # The first column of THICKNESS is a place along the PMT in mm, no energy.
        thickness = properties["THICKNESS"].rows[:, -1]
        if np.ptp(thickness) > 1e-6 * thickness.mean():
            self._lose("THICKNESS is not constant; its mean is used")
        return {
            "model": "thin_film",
            "eta": self._curve("RINDEX", 1.0).table(),
            "k": self._curve("KINDEX", 0.0).table(),
            "thickness_nm": float(thickness.mean() * 1e6),
            "efficiency": self._detected.table(),
        }

    def _metal(self) -> Json:
        surface = self._surface
        if "REALRINDEX" in surface.properties and "IMAGINARYRINDEX" in surface.properties:
            return {
                "model": "thin_film",
                "eta": self._curve("REALRINDEX", 1.0).table(),
                "k": self._curve("IMAGINARYRINDEX", 0.0).table(),
                "thickness_nm": _METAL_FILM_NM,
                "efficiency": self._detected.table(),
                "scale_efficiency": False,
            }
        if "backpainted" in surface.finish:
            self._lose(f"finish {surface.finish} of a metal; taken for its paint in front")
        is_polished = surface.finish.startswith("polished")
        if is_polished or surface.model == "glisur":
            if not is_polished and surface.value < 1:
                self._lose(f"polish {surface.value:g} of a ground metal; it is specular")
            return self._reflecting(constant(1.0))
        if surface.model != "unified":
            self._lose(f"model {surface.model} of a metal; it reflects as unified")
        return self._reflecting(self._specular_share())

    def _specular_share(self) -> Curve:
        if "BACKSCATTERCONSTANT" in self._surface.properties:
            self._lose("BACKSCATTERCONSTANT; that share is diffuse")
        spike, lobe = self._curve("SPECULARSPIKECONSTANT", 0.0), self._curve("SPECULARLOBECONSTANT", 0.0)
        return spike.with_(lobe, lambda one, other: np.clip(one + other, 0, 1))

    def _reflecting(self, specular: Curve) -> Json:
        entry = self._absorbing()
        share = self._reflectivity.with_(specular, lambda reflected, one: reflected * one)
        rest = self._reflectivity.with_(specular, lambda reflected, one: reflected * (1 - one))
        return _without_zeros(shares(entry | {"reflect_specular": share, "reflect_diffuse": rest}))

    def _absorbing(self) -> dict[str, Curve]:
        lost = self._reflectivity.map(lambda reflected: 1 - reflected)
        return {
            "absorb": lost.with_(self._detected, lambda share, detected: share * (1 - detected)),
            "detect": lost.with_(self._detected, lambda share, detected: share * detected),
        }

    def _dielectric(self) -> Json | None:
        finish = self._surface.finish
        if finish == "polishedfrontpainted":
            return self._reflecting(constant(1.0))
        if finish == "groundfrontpainted":
            return self._reflecting(constant(0.0))
        if finish == "ground":
            self._lose("ground dielectric; it is polished")
        elif finish != "polished":
            self._lose(f"finish {finish} of a dielectric; it has no surface")
            return self._plain()
        entry = self._absorbing()
        if self._meets_opaque:  # there is nothing to go on to: what is not detected is absorbed
            entry["absorb"] = entry["detect"].map(lambda detected: 1 - detected)
        return _without_zeros(shares(entry)) or None

    def _dichroic(self) -> Json | None:
        table = self._surface.dichroic
        if table is None or len(table.wavelengths) < 1:
            self._lose("dichroic without data; it has no surface")
            return self._plain()
        by_angle, by_wavelength = np.argsort(table.angles), np.argsort(table.wavelengths)
        wavelengths = table.wavelengths[by_wavelength]
        transmitted = np.clip(table.transmission[by_wavelength][:, by_angle] / 100, 0, 1)
        tables = [[_over(wavelengths, one) for one in share.T] for share in (transmitted, 1 - transmitted)]
        angles = table.angles[by_angle].tolist()
        if len(angles) == 1:  # linear between angles: one angle is the same at all
            angles, tables = [0.0, 90.0], [one * 2 for one in tables]
        return {"model": "dichroic", "angles": angles, "reflect": tables[1], "transmit": tables[0]}

    def _plain(self) -> Json | None:
        return dict(ABSORBING) if self._meets_opaque else None

    def _is_transmitting(self) -> bool:
        transmittance = self._curve("TRANSMITTANCE", 0.0)
        energies = transmittance.energies if len(transmittance.energies) else np.ones(1)
        return bool((transmittance(energies) > 0).any())

    def _curve(self, key: str, default: float) -> Curve:
        if key not in self._surface.properties:
            return constant(default)
        return curve(self._surface.properties[key], f"optical surface '{self._surface.name}', property {key}")

    def _lose(self, reason: str) -> None:
        self._report.lose(f"optical surface '{self._surface.name}'", reason)


def _over(wavelengths: Floats, values: Floats) -> Json | float:
    if len(wavelengths) == 1:
        return float(values[0])
    return {"wavelength": wavelengths.tolist(), "value": values.tolist()}


def _without_zeros(entry: Json) -> Json:
    return {key: value for key, value in entry.items() if value != 0}
