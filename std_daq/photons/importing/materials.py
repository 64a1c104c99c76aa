"""Materials of Geant4 and RAT as materials of the geometry file."""

import numpy as np

from std_daq.photons.importing.detector import Medium, PropertyTable
from std_daq.photons.importing.errors import DetectorImportError
from std_daq.photons.importing.report import ImportReport
from std_daq.photons.importing.tables import Curve, Floats, Json, curve, length, remaining_length

OPAQUE = {"absorption_length": 1e-6}
"""Whatever gets into it, or begins in it, goes no further."""

_SPEED_OF_LIGHT = 299.792458  # mm/ns
_LOST = {"MIEHG": "Mie scattering", "MIE": "Mie scattering"}
_MAX_COMPONENTS = 100


def convert_material(material: Medium, report: ImportReport) -> Json:
    """Return the entry of a material.

    Raises
    ------
    DetectorImportError
        If a table is wrong.
    """
    if material.is_opaque:
        return dict(OPAQUE)
    properties = _Properties(material)
    entry: Json = {"refractive_index": properties.curve("RINDEX").table()}
    if "GROUPVEL" in properties:
        entry["group_index"] = properties.curve("GROUPVEL").map(_group_index).table()
    for key, what in _LOST.items():
        if key in properties:
            report.lose(f"material '{material.name}'", f"{key} ({what}) is left out")
    components = _components(properties, report)
    if "ABSLENGTH" in properties:
        total = properties.curve("ABSLENGTH")
        parts = [component for component, is_part in components if is_part]
        absorption = remaining_length(total, [properties.curve(f"ABSLENGTH{one['number']}") for one in parts])
        if absorption is not None:
            entry["absorption_length"] = absorption
    for key in ("RSLENGTH", "RAYLEIGH"):
        if key in properties:
            entry["scattering_length"] = length(properties.curve(key)).table()
            break
    if components:
        entry["reemission"] = [
            {key: value for key, value in component.items() if key != "number"} for component, _ in components
        ]
    return entry


def _group_index(velocities: Floats) -> Floats:
    indices: Floats = _SPEED_OF_LIGHT / np.maximum(velocities, 1e-6)
    return indices


class _Properties:
    def __init__(self, material: Medium) -> None:
        self.name = material.name
        self._tables = material.properties

    def __contains__(self, key: str) -> bool:
        return key in self._tables

    def table(self, key: str) -> PropertyTable:
        if key not in self._tables:
            raise DetectorImportError(f"property {key} is missing", file=f"material '{self.name}'")
        return self._tables[key]

    def curve(self, key: str) -> Curve:
        return curve(self.table(key), f"material '{self.name}', property {key}")

    def number(self, key: str, default: float) -> float:
        """Return a constant, which may be given as a table of one value."""
        return float(self._tables[key].rows[0, -1]) if key in self._tables else default


def _components(properties: _Properties, report: ImportReport) -> list[tuple[Json, bool]]:
    """Return re-emitting components, each with whether its absorption is a part of ABSLENGTH."""
    n = round(properties.number("NUM_COMP", 0))
    if not 0 <= n <= _MAX_COMPONENTS:
        raise DetectorImportError(f"NUM_COMP is {n}", file=f"material '{properties.name}'")
    found = [(_rat_component(properties, number, report), True) for number in range(n)]
    found += [
        (_shifting_component(properties, suffix, report), False)
        for suffix in ("", "2")
        if f"WLSABSLENGTH{suffix}" in properties and f"WLSCOMPONENT{suffix}" in properties
    ]
    return found


def _rat_component(properties: _Properties, number: int, report: ImportReport) -> Json:
    probability = f"REEMISSION_PROB{number}"
    component: Json = {
        "number": number,
        "absorption_length": length(properties.curve(f"ABSLENGTH{number}")).table(),
        "probability": _share(properties.curve(probability)).table() if probability in properties else 0,
    }
    spectrum = next((one for one in ("SCINTILLATION_WLS", "SCINTILLATION") if one in properties), None)
    if spectrum is not None:
        component["spectrum"] = _spectrum(properties, spectrum)
    elif component["probability"] != 0:
        report.lose(f"material '{properties.name}'", f"component {number} has no spectrum; it does not re-emit")
        component["probability"] = 0
    if component["probability"] == 0 and spectrum is None:
        component["spectrum"] = {"wavelength": [400.0, 401.0], "value": [1.0, 1.0]}
    waveform = f"REEMITWAVEFORM{number}"
    if waveform in properties:
        rows = properties.table(waveform).rows
        if rows.shape[1] == 2 and rows[0, 0] < 0:
            component["decay_times"] = [[float(-time), float(weight)] for time, weight in rows]
        else:
            report.lose(f"material '{properties.name}'", f"{waveform} is a sampled waveform; it re-emits at once")
    return component


def _shifting_component(properties: _Properties, suffix: str, report: ImportReport) -> Json:
    component: Json = {
        "number": -1,
        "absorption_length": length(properties.curve(f"WLSABSLENGTH{suffix}")).table(),
        "probability": 1,
        "spectrum": _spectrum(properties, f"WLSCOMPONENT{suffix}"),
    }
    time = properties.number(f"WLSTIMECONSTANT{suffix}", 0.0)
    if time > 0:
        component["decay_times"] = [[time, 1.0]]
    number_key = f"WLSMEANNUMBERPHOTONS{suffix}"
    if properties.number(number_key, 1.0) != 1:
        report.lose(f"material '{properties.name}'", f"{number_key}: one photon is re-emitted for each absorbed")
    return component


def _spectrum(properties: _Properties, key: str) -> Json:
    one = properties.curve(key)
    if len(one.energies) < 2 or not one(one.energies).max() > 0:
        raise DetectorImportError(
            "a spectrum needs two points, and a value above 0", file=f"material '{properties.name}', property {key}"
        )
    return one.map(lambda values: np.maximum(values, 0)).spectrum()


def _share(one: Curve) -> Curve:
    return one.map(lambda values: np.clip(values, 0, 1))
