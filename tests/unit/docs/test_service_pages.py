"""The pages of all services have the same anatomy."""

import re
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from std_daq.config.system import systems

ROOT = Path(__file__).parents[3]
SERVICES = sorted(path.name for path in (ROOT / "services").iterdir() if path.is_dir())
ANATOMY = ["What it does", "In and out", "Parameters", "Metrics", "When it fails"]


@pytest.mark.parametrize("service", SERVICES)
def test_page_of_a_service_has_the_anatomy_of_all(service: str) -> None:
    text = (ROOT / "services" / service / "README.md").read_text()
    (entry,) = entry_points(group="std_daq.services", name=service.replace("_", "-"))
    description = entry.load()
    (file,) = {system.file for system in systems().values() if system.model is description.config} or {"detector.json"}
    config = f" --config {file}" if description.config_of is None else ""
    assert text.startswith(f"# {service}\n\n`{description.command}{config}")
    headings = re.findall(r"^## (.+)$", text, flags=re.MULTILINE)
    assert [heading for heading in headings if heading in ANATOMY] == ANATOMY
