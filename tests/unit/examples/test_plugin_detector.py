"""The example of a plug-in, as if it were installed."""

import tomllib
from pathlib import Path

import pytest

from std_daq.errors import ConfigError
from std_daq.imaging.config import load_config
from std_daq.imaging.detectors.checks import check_detector
from std_daq.imaging.detectors.registry import detector_types, open_detector

PACKAGE = Path(__file__).parents[3] / "examples" / "plugin_detector"


@pytest.fixture(autouse=True)
def _installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put on the path what an installation would: the package, and its entry points."""
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    info = tmp_path / "std_daq_tile-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    entries = project["entry-points"]["std_daq.detectors"]
    lines = ["[std_daq.detectors]", *(f"{name} = {target}" for name, target in entries.items())]
    (info / "entry_points.txt").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.syspath_prepend(PACKAGE)


def test_installed_plug_in_is_a_known_detector_type() -> None:
    assert "tile" in detector_types()


def test_plug_in_does_what_every_detector_does() -> None:
    check_detector(open_detector(load_config(PACKAGE / "detector.json")))


def test_options_of_a_plug_in_are_checked() -> None:
    config = load_config(PACKAGE / "detector.json")
    with pytest.raises(ConfigError, match="did you mean 'max_counts'"):
        open_detector(config.model_copy(update={"detector": {"max_count": 3}}))
