"""Detectors from GDML texts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from std_daq.photons.geometry.load import check_geometry
from std_daq.photons.importing.convert import convert_detector
from std_daq.photons.importing.geometry import ConversionOptions
from std_daq.photons.importing.report import ImportReport
from std_test_kit.gdml import write_gdml

Convert = Callable[..., dict[str, Any]]


@pytest.fixture
def report() -> ImportReport:
    return ImportReport()


@pytest.fixture
def convert(tmp_path: Path, report: ImportReport) -> Convert:
    """Convert a GDML text; what comes out is a geometry that the engine loads."""

    def run(text: str, *, sensors: str | None = None, tables: tuple[Path, ...] = (), **options: Any) -> dict[str, Any]:
        path = write_gdml(tmp_path, text)
        geometry = convert_detector(
            path, tables=list(tables), pattern=sensors, options=ConversionOptions(**options), report=report
        )
        check_geometry(geometry)
        return geometry

    return run
