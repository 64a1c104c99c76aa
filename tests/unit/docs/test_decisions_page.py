"""The list of decisions names each of them by its number and title."""

import re
from pathlib import Path

FOLDER = Path(__file__).parents[3] / "docs" / "explanations" / "decisions"


def listed() -> list[tuple[str, ...]]:
    return re.findall(
        r"^\| (\d+) \| \[(.+)\]\((\d{4}-[\w-]+\.md)\) \|$", (FOLDER / "README.md").read_text(), re.MULTILINE
    )


def test_list_has_all_decisions_in_order() -> None:
    there = []
    for path in sorted(FOLDER.glob("[0-9]*.md")):
        heading = re.match(r"# (\d+)\. (.+)\n", path.read_text())
        assert heading is not None, path.name
        assert int(heading[1]) == int(path.name[:4])
        there.append((heading[1], heading[2], path.name))
    assert listed() == there
