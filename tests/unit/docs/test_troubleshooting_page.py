"""The page on troubleshooting quotes texts that the code really says."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
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
    files = [path for folder in ("std_daq", "services") for path in (ROOT / folder).rglob("*.py")]
    return re.sub(r'"\s*\n\s*f?"', "", "\n".join(path.read_text() for path in files))


@pytest.mark.parametrize("quote", QUOTES)
def test_text_is_one_of_the_code(quote: str, said: str) -> None:
    pieces = [re.escape(piece) for piece in re.split(r" ?… ?", quote) if piece]
    assert pieces
    assert re.search(r"[^\n]{0,120}?".join(pieces), said), quote
