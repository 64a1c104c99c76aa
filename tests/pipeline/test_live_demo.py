"""The demo of the live view: it ends by itself, is right about what came, and leaves a picture."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

DEMO = Path(__file__).parents[2] / "examples" / "demo" / "demo.py"


@pytest.mark.long
def test_demo_of_the_live_view_shows_what_each_client_was_sent_and_a_picture(tmp_path: Path) -> None:
    command = [sys.executable, DEMO, "--live", "--seconds", "3", "--output", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(re.findall(r"^demo: .+: \d+\.\d s$", done.stderr, re.MULTILINE)) == 3, done.stderr
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in done.stdout.splitlines() if "│" in line]
    assert len(rows) == 12
    for client, _, _, received, skipped, _ in rows:
        assert int(received) > 0
        assert (int(skipped) == 0) == (client == "every image")
    (picture,) = tmp_path.glob("*/array.png")
    with Image.open(picture) as opened:
        assert len(opened.getcolors(2**24)) > 100
