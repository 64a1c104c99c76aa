"""The JSON on pages is what some configuration takes; a part of one may leave required keys out."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from std_daq.config.system import systems
from std_daq.errors import ConfigError

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md"]
PAGES += [page for folder in ("docs", "services", "docker") for page in sorted((ROOT / folder).rglob("*.md"))]
# By their first key: parts of a section, which stand alone on a page.
SECTION_OF = {"phases": "analysis", "receive": "replication"}
# By their first key: what is no configuration.
OTHERS = {
    "seed": "the truth of a simulation",
    "goniometer": "the section experiment of a request",
    "format": "a geometry file",
    "board": "the index of GRAW files",
}


def documents_of(page: Path) -> list[dict[str, Any]]:
    """Return the objects in the JSON blocks of a page; members without braces are made one."""
    found = []
    for text in re.findall(r"^ *```json\n(.*?)^ *```", page.read_text(), re.MULTILINE | re.DOTALL):
        document = json.loads(text if text.lstrip().startswith(("{", "[")) else f"{{{text}}}")
        if isinstance(document, dict) and next(iter(document)) not in OTHERS:
            section = SECTION_OF.get(next(iter(document)))
            found.append({section: document} if section else document)
    return found


def problems(model: type[BaseModel], document: dict[str, Any]) -> list[str]:
    try:
        model.model_validate(document)
    except ValidationError as error:
        return [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors() if one["type"] != "missing"]
    except ConfigError as error:
        return [str(error)]
    return []


WITH_JSON = [page for page in PAGES if "```json" in page.read_text()]


@pytest.mark.parametrize("page", WITH_JSON, ids=lambda page: str(page.relative_to(ROOT)))
def test_json_is_taken_by_a_configuration(page: Path) -> None:
    for document in documents_of(page):
        of_systems = {name: problems(system.model, document) for name, system in systems().items()}
        assert [] in of_systems.values(), (document, of_systems)


def test_json_is_found() -> None:
    assert sum(len(documents_of(page)) for page in WITH_JSON) > 40
