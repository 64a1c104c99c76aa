"""What holds for the command blocks of all pages, also for those that are not run."""

import re
from pathlib import Path

import pytest

from std_test_kit.page_commands import ROOT, blocks_of, pages

# A clone is where the other pages begin.
_INTO_CLONE = re.compile(r"git clone [^\n]*?(&& cd|\n *cd) std-daq")
_STEP = re.compile(r"^ *(?:.*&& )?(cd|pushd|popd)\b([^\n#;]*)", re.MULTILINE)


def by_name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", pages(), ids=by_name)
def test_no_page_leaves_its_reader_in_another_folder(page: Path) -> None:
    depth = 0
    for block in blocks_of(page):
        text = re.sub(r"\([^()]*\)|'[^']*'", "", _INTO_CLONE.sub("", block.text))  # subshells change nothing
        for step, where in _STEP.findall(text):
            depth += -1 if step == "popd" or where.strip() in {"-", "..", "../.."} else 1
    assert depth == 0


@pytest.mark.parametrize("page", pages(), ids=by_name)
def test_commands_can_be_pasted_with_either_compose(page: Path) -> None:
    if "docker-compose" not in page.read_text():
        return
    texts = {block.text for block in blocks_of(page)}
    for text in texts:
        assert "docker compose" not in text or text.replace("docker compose", "docker-compose") in texts
