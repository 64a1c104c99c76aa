"""The commands of the pages do what the pages say: each page's blocks are run in their order, in a fresh folder."""

from pathlib import Path

import pytest

from std_test_kit.page_commands import ROOT, Scene, blocks_of, pages, run_page
from std_test_kit.page_scenes import SCENES

RUN = {page: [block for block in blocks_of(page) if not block.reason] for page in pages()}


@pytest.mark.long
@pytest.mark.timeout(400)
@pytest.mark.parametrize("page", [str(page.relative_to(ROOT)) for page, blocks in RUN.items() if blocks])
def test_commands_of_a_page_do_what_it_says(page: str, tmp_path: Path) -> None:
    folder = tmp_path / "fresh"
    folder.mkdir()
    run_page(blocks_of(ROOT / page), SCENES.get(page, Scene()), folder, timeout_s=340)


def test_scenes_are_of_pages_that_there_are() -> None:
    assert set(SCENES) <= {str(page.relative_to(ROOT)) for page in pages()}
