import json
from pathlib import Path

import pytest

from std_daq.config.reference import reference_page
from std_daq.detectors.schema import published_schema

OURS = ("eiger", "gigafrost", "jungfrau")
REFERENCE = Path(__file__).parents[3] / "docs" / "reference"


def test_published_schema_is_that_of_the_model() -> None:
    """Otherwise: std-daq config schema > docs/reference/detector.schema.json."""
    assert json.loads((REFERENCE / "detector.schema.json").read_text()) == published_schema(OURS)


def test_published_reference_is_that_of_the_model() -> None:
    """Otherwise: std-daq config reference > docs/reference/configuration.md."""
    assert (REFERENCE / "configuration.md").read_text().rstrip() == reference_page(published_schema(OURS)).rstrip()


@pytest.mark.parametrize("detector_type", OURS)
def test_every_key_is_described(detector_type: str) -> None:
    schema = published_schema([detector_type])
    sections = [schema, *(definition for definition in schema["$defs"].values() if "properties" in definition)]
    undescribed = [
        key for section in sections for key, field in section["properties"].items() if "description" not in field
    ]
    assert undescribed == []
