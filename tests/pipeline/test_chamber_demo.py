"""The demo of a chamber: each sample is as it was sent, the estimates are near the truth, and pictures are left."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

DEMO = Path(__file__).parents[2] / "examples" / "demo" / "demo.py"


@pytest.mark.long
@pytest.mark.timeout(300)
def test_demo_of_a_chamber_compares_events_and_estimates_with_the_truth(tmp_path: Path) -> None:
    command = [sys.executable, DEMO, "--events", "--output", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(re.findall(r"^demo: .+: \d+\.\d s$", done.stderr, re.MULTILINE)) == 6, done.stderr
    assert "all events are complete, and each sample is as it was sent" in done.stdout
    for name in ("event.png", "estimates.png"):
        (picture,) = tmp_path.glob(f"*/{name}")
        with Image.open(picture) as opened:
            assert len(opened.getcolors(2**24) or ()) > 20
