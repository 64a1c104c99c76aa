import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from std_daq.config.reference import reference_page
from std_daq.config.schema import published_schema
from std_daq.imaging.config.experiment import Experiment
from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.detectors.schema import add_detector_options
from std_daq.recording.request_schema import request_schema

OURS = ("eiger", "gigafrost", "jungfrau", "telescope")
FILE = "detector.json"
REFERENCE = Path(__file__).parents[4] / "docs" / "reference"


def detector_schema(detector_types: Sequence[str]) -> dict[str, Any]:
    """The schema with detectors of ours alone, also where others are installed."""
    return add_detector_options(published_schema(DetectorConfig, f"{FILE} of std-daq"), detector_types)


def test_published_schema_is_that_of_the_model() -> None:
    """Otherwise: std-daq config schema > docs/reference/detector.schema.json."""
    assert json.loads((REFERENCE / "detector.schema.json").read_text()) == detector_schema(OURS)


def test_published_schema_of_a_request_is_that_of_the_code() -> None:
    """Otherwise: std-daq config schema --request > docs/reference/request.schema.json."""
    assert json.loads((REFERENCE / "request.schema.json").read_text()) == request_schema(Experiment)


def test_published_reference_is_that_of_the_model() -> None:
    """Otherwise: std-daq config reference > docs/reference/configuration.md."""
    assert (REFERENCE / "configuration.md").read_text().rstrip() == reference_page(detector_schema(OURS), FILE).rstrip()


@pytest.mark.parametrize("detector_type", OURS)
def test_every_key_is_described(detector_type: str) -> None:
    schema = detector_schema([detector_type])
    sections = [schema, *(definition for definition in schema["$defs"].values() if "properties" in definition)]
    undescribed = [
        key for section in sections for key, field in section["properties"].items() if "description" not in field
    ]
    assert undescribed == []
