"""Configurations of detectors, and consoles that show them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from std_test_kit.web_console import RunningConsole, running_console


@pytest.fixture
def detector_file(tmp_path: Path, shm_dir: Path, runtime: Path) -> Path:
    """The configuration of a small detector of which no service runs."""
    file = tmp_path / "detector.json"
    document = {
        "detector_name": "small",
        "detector_type": "gigafrost",
        "n_modules": 8,
        "bit_depth": 16,
        "image_pixel_height": 2016,
        "image_pixel_width": 2016,
        "start_udp_port": 2000,
        "shared_memory": {"directory": str(shm_dir)},
    }
    file.write_text(json.dumps(document))
    return file


@pytest.fixture
def console(detector_file: Path) -> Iterator[RunningConsole]:
    """A console of this detector; changes need the token of the kit."""
    with running_console(detector_file) as running:
        yield running
