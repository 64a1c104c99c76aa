"""The pages of the configuration of a chamber are made from its model."""

import json
from pathlib import Path

from std_daq.config.reference import reference_page
from std_daq.config.system import systems

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"


def test_schema_and_page_of_a_chamber_are_those_of_the_model() -> None:
    """Otherwise: std-daq config schema --system tpc > docs/reference/tpc.schema.json, and config reference."""
    system = systems()["tpc"]
    schema = system.schema()
    assert json.loads((REFERENCE / "tpc.schema.json").read_text()) == schema
    page = (REFERENCE / "tpc-configuration.md").read_text()
    assert page.rstrip() == reference_page(schema, system.file).rstrip()
    assert '| `pads` | section or `"attpc_spyral"` | **required** |' in page
