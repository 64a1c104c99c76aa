"""The pages of all services have the same anatomy."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SERVICES = sorted(path.name for path in (ROOT / "services").iterdir() if path.is_dir())
ANATOMY = ["What it does", "In and out", "Parameters", "Metrics", "When it fails"]


@pytest.mark.parametrize("service", SERVICES)
def test_page_of_a_service_has_the_anatomy_of_all(service: str) -> None:
    text = (ROOT / "services" / service / "README.md").read_text()
    assert text.startswith(f"# {service}\n\n`std-{service.replace('_', '-')} --config detector.json")
    headings = re.findall(r"^## (.+)$", text, flags=re.MULTILINE)
    assert [heading for heading in headings if heading in ANATOMY] == ANATOMY
