"""The pages of the configurations of a telescope's services are made from their models."""

import json
from pathlib import Path

import pytest

from std_daq.config.reference import reference_page
from std_daq.config.system import systems

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"


@pytest.mark.parametrize(
    ("name", "page"), [("telescope", "live-view-configuration.md"), ("ublox", "ublox-configuration.md")]
)
def test_schema_and_page_are_those_of_the_model(name: str, page: str) -> None:
    """Otherwise: std-daq config schema --system NAME > docs/reference/FILE.schema.json, and config reference."""
    system = systems()[name]
    schema = system.schema()
    assert json.loads((REFERENCE / system.file.replace(".json", ".schema.json")).read_text()) == schema
    assert (REFERENCE / page).read_text().rstrip() == reference_page(schema, system.file).rstrip()
