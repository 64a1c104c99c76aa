"""The pages of the configuration of a live view are made from its model."""

import json
from pathlib import Path

from std_daq.config.reference import reference_page
from std_daq.config.system import systems

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"


def test_schema_and_page_of_a_live_view_are_those_of_the_model() -> None:
    """Otherwise: std-daq config schema --system telescope > docs/reference/live.schema.json, and config reference."""
    system = systems()["telescope"]
    schema = system.schema()
    assert json.loads((REFERENCE / "live.schema.json").read_text()) == schema
    assert (REFERENCE / "live-view-configuration.md").read_text().rstrip() == reference_page(
        schema, system.file
    ).rstrip()
