"""Convert a detector: file and tables in, sensors and the geometry file out."""

import json
from collections import Counter
from pathlib import Path

from std_daq.photons.importing.detector import VolumeTree
from std_daq.photons.importing.gdml.reader import read_gdml
from std_daq.photons.importing.geometry import ConversionOptions, build_geometry
from std_daq.photons.importing.ratdb import pmt_arrays, read_tables
from std_daq.photons.importing.report import ImportReport
from std_daq.photons.importing.sensors import (
    Sensor,
    count_placements,
    sensitive_sensors,
    sensors_by_name,
    sensors_of_tables,
)
from std_daq.photons.importing.tables import Json


def read_detector(
    path: Path, *, tables: list[Path], pattern: str | None, report: ImportReport
) -> tuple[VolumeTree, list[Sensor]]:
    """Read a detector, and find its light sensors, by channel.

    Parameters
    ----------
    tables
        Files of RATDB; arrays of PMTs in them are the sensors.
    pattern
        Else what matches this in names of placements and volumes; else what is marked as a sensitive detector.

    Raises
    ------
    DetectorImportError
        If the detector is refused.
    OSError
        If a file cannot be read.
    """
    detector = read_gdml(path, report)
    count_placements(detector.world)
    arrays = pmt_arrays(read_tables(tables, report)) if tables else []
    if arrays:
        return detector, sensors_of_tables(detector.world, arrays, report)
    if tables:
        report.note("tables", "they describe no array of PMTs (GEO of type 'pmtarray')")
    if pattern is not None:
        return detector, sensors_by_name(detector.world, pattern, report)
    return detector, sensitive_sensors(detector.world, report)


def convert_detector(
    path: Path,
    *,
    tables: list[Path],
    pattern: str | None,
    options: ConversionOptions,
    report: ImportReport,
) -> Json:
    """Return the geometry file of a detector; arguments as of `read_detector`."""
    detector, sensors = read_detector(path, tables=tables, pattern=pattern, report=report)
    return build_geometry(detector, sensors, options, report)


def geometry_text(geometry: Json) -> str:
    """Return the text of a geometry file: a line for each material, surface, solid and array."""
    sections = []
    for key, value in geometry.items():
        if isinstance(value, dict):
            entries = [f"{json.dumps(name)}: {_part_text(one)}" for name, one in value.items()]
            sections.append(f"{json.dumps(key)}: {{{_lines(entries)}}}")
        elif isinstance(value, list):
            sections.append(f"{json.dumps(key)}: [{_lines([json.dumps(one, allow_nan=False) for one in value])}]")
        else:
            sections.append(f"{json.dumps(key)}: {json.dumps(value)}")
    return "{" + ",\n".join(sections) + "}\n"


def _part_text(value: object) -> str:
    if isinstance(value, list):
        return f"[{_lines([json.dumps(one, allow_nan=False) for one in value])}]"
    return json.dumps(value, allow_nan=False)


def _lines(entries: list[str]) -> str:
    return "\n " + ",\n ".join(entries) if entries else ""


def count_boundaries(geometry: Json) -> Counter[tuple[str, str, str, str, str]]:
    """Return how often each boundary stands in the detector: (part, shape, inner, outer, surface)."""
    places: Counter[str] = Counter({"": 1})
    for array in geometry.get("arrays", []):
        places[array["part"]] += len(array["positions"])
    counted: Counter[tuple[str, str, str, str, str]] = Counter()
    for part, solids in {"": geometry["solids"], **geometry.get("parts", {})}.items():
        for solid in solids:
            key = part, solid["shape"], solid["inner"], solid["outer"], solid.get("surface", "")
            counted[key] += places[part]
    return counted


def count_channels(geometry: Json) -> int:
    """Return how many channels a geometry has."""
    arrays = [one for one in geometry.get("arrays", []) if one.get("first_channel") is not None]
    singles = [solid for solid in geometry["solids"] if solid.get("channel") is not None]
    return len(singles) + sum(len(one["positions"]) for one in arrays)
