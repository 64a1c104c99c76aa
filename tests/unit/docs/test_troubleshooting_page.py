"""The page on troubleshooting quotes texts that the code really says."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SOURCES = [path for folder in ("std_daq", "services") for path in (ROOT / folder).rglob("*.py")]
# Pages on which a reader looks for a line of a log.
LOG_PAGES = [
    ROOT / "docs" / "how-to" / "troubleshooting.md",
    ROOT / "docs" / "reference" / "services.md",
    *(ROOT / "services").glob("*/README.md"),
]
WARNINGS = sorted(
    {found for path in SOURCES for found in re.findall(r'\.(?:warning|error)\(\s*"([a-z][a-z_]+)"', path.read_text())}
)
PAGE = ROOT / "docs" / "how-to" / "troubleshooting.md"
# In the first column, but said by other programs, or made of parts.
OTHERS = {
    "unhealthy",
    "UDP … cannot be opened: Address already in use",
    "--frontend … cannot be opened: …",
    "--backend … cannot be opened: …",
    "file is already open for write",
    "can't open directory",
    "required filter … is not registered",
    "needs uproot: pip install 'std-daq[root]'",
    "needs numba_cuda: pip install 'std-daq[cuda]'",
    "needs rerun: pip install 'std-daq[view3d]'",
    "does not answer PING",
    ".run.h5.k3x7q2a.partial",
}
QUOTES = sorted(
    {
        quote
        for line in PAGE.read_text().splitlines()
        if line.startswith("| `") and not line.startswith("| `std-")
        for quote in re.findall(r"`([^`]+)`", line.split(" | ")[0])
    }
    - OTHERS
)


@pytest.fixture(scope="module")
def said() -> str:
    """Return all that the code says, texts that go over several lines joined."""
    return re.sub(r'"\s*\n\s*f?"', "", "\n".join(path.read_text() for path in SOURCES))


@pytest.mark.parametrize("quote", QUOTES)
def test_text_is_one_of_the_code(quote: str, said: str) -> None:
    pieces = [re.escape(piece) for piece in re.split(r" ?… ?", quote) if piece]
    assert pieces
    assert re.search(r"[^\n]{0,120}?".join(pieces), said), quote


@pytest.mark.parametrize("event", [event for event in WARNINGS if event != "ring_overrun"])  # an example in a docstring
def test_each_warning_of_a_log_is_explained_on_a_page(event: str) -> None:
    assert any(re.search(rf"`{event}`", page.read_text()) for page in LOG_PAGES)


def test_warnings_are_found_in_the_code() -> None:
    assert {"values_lost", "certificates_not_read_again", "ring_of_source_replaced"} <= set(WARNINGS)
