"""The page on trust names a test for each defence."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "explanations" / "trust.md"
LINES = PAGE.read_text().splitlines()


def rows_of_tables_with_tests() -> list[list[str]]:
    """Return the cells of each row below a header whose last cell is "test"."""
    rows = []
    is_within = False
    for line in LINES:
        if not line.startswith("|"):
            is_within = False
        elif line.endswith("| test |"):
            is_within = True
        elif is_within and not line.startswith("|---"):
            rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return rows


ROWS = rows_of_tables_with_tests()


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_defence_has_a_test_that_exists(row: list[str]) -> None:
    assert len(row) == 3
    _, defence, tests = row
    if defence.startswith("nothing"):
        return
    named = re.findall(r"`(tests/[^`:]+)", tests)
    assert named or "the same" in tests
    for path in named:
        assert (ROOT / path).exists(), path
