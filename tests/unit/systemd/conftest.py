"""Configurations of all kinds of systems."""

import json
import shutil
from pathlib import Path

import pytest

from std_test_kit.chambers import write_chamber

BEAMLINES = Path(__file__).parents[3] / "docker" / "beamlines"


@pytest.fixture
def configs(tmp_path: Path) -> dict[str, Path]:
    """Path of a configuration for each kind of system; all have what they write in folders of their own."""
    folder = tmp_path / "etc with blank"
    folder.mkdir()
    found = {
        "images": Path(shutil.copy(BEAMLINES / "simulated_jungfrau" / "detector.json", folder)),
        "telescope": Path(shutil.copy(BEAMLINES / "observatory" / "live.json", folder)),
        "ublox": Path(shutil.copy(BEAMLINES / "observatory" / "ublox.json", folder)),
        "photons": folder / "farm.json",
        "chamber": write_chamber(folder, ["127.0.0.1:46001"], [(0, 0)]),
    }
    found["photons"].write_text(json.dumps({"name": "tank", "geometry": "tank.json", "n_workers": 2}))
    return found
