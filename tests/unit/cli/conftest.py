"""A configuration, and another system beside images."""

import json
from pathlib import Path

import pytest

JUNGFRAU = {
    "detector_name": "det",
    "detector_type": "jungfrau",
    "n_modules": 1,
    "bit_depth": 16,
    "image_pixel_height": 512,
    "image_pixel_width": 1024,
    "start_udp_port": 50000,
}
CHAMBER = """
from pathlib import Path
from pydantic import Field
from std_daq.config.platform import PlatformConfig
from std_daq.config.system import System

class ChamberConfig(PlatformConfig):
    exporters: list[str] = Field(description="Addresses of the front-end computers.")
    rings: Path = Field(description="Where they lie.")

    @property
    def ring_paths(self):
        return (self.rings / "chamber-events",)

SYSTEM = System(name="chamber", file="chamber.json", model=ChamberConfig)
"""


@pytest.fixture
def config_file(tmp_path: Path, runtime: Path) -> str:
    assert runtime.is_dir()
    path = tmp_path / "detector.json"
    path.write_text(json.dumps(JUNGFRAU))
    return str(path)


@pytest.fixture
def chamber_file(tmp_path: Path, runtime: Path, shm_dir: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The configuration of a system without pixels, which is installed beside images."""
    info = tmp_path / "site" / "chamber-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: chamber\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[std_daq.systems]\nchamber = std_daq_test_cli_chamber:SYSTEM\n")
    (tmp_path / "site" / "std_daq_test_cli_chamber.py").write_text(CHAMBER)
    monkeypatch.syspath_prepend(tmp_path / "site")
    path = tmp_path / "chamber.json"
    path.write_text(json.dumps({"name": "tpc", "exporters": [], "rings": str(shm_dir)}))
    return str(path)
